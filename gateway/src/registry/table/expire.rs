//! Who was silent for too long goes, as far as the brakes allow.

use std::collections::HashMap;

use sluice_protocol::ServiceName;
use tokio::time::Instant;

use super::Table;
use crate::registry::configs::{FunctionId, function_id};
use crate::telemetry::names::Series;

impl Table {
    /// Removes instances that were silent for too long, as far as the brakes let them go.
    pub(super) fn expire(&mut self, now: Instant) {
        self.held_back = 0;
        let services: Vec<_> = self.instances.services().cloned().collect();
        for service in services {
            let mut overdue: Vec<_> = self
                .instances
                .of(&service)
                .filter(|(_, r)| self.brakes.overdue(r.last_seen, now))
                .map(|(id, r)| {
                    (
                        r.last_seen,
                        id.clone(),
                        r.takes_calls(),
                        r.config_hash.clone(),
                    )
                })
                .collect();
            if overdue.is_empty() {
                continue;
            }
            overdue.sort();
            let alive = self.alive(&service);
            for (_, id, takes_calls, hash) in overdue {
                let functions = self.configs.get(&service, &hash).map(|c| &c.functions);
                let ids = functions.into_iter().flatten().map(|f| function_id(f));
                let count = |id: &FunctionId| alive.get(id).copied().unwrap_or(0);
                if takes_calls && !self.brakes.permit(&service, ids, count, now) {
                    self.held_back += 1;
                    continue;
                }
                self.meters.inc(Series::InstanceExpired);
                tracing::info!(%service, instance = %id, "no heartbeat: forgotten");
                self.instances.remove(&service, &id);
                self.dirty.insert(service.clone());
            }
        }
    }

    /// How many instances take calls, for each function of a service.
    fn alive(&self, service: &ServiceName) -> HashMap<FunctionId, usize> {
        let mut by_config: HashMap<&str, usize> = HashMap::new();
        for (_, record) in self.instances.of(service).filter(|(_, r)| r.takes_calls()) {
            *by_config.entry(record.config_hash.as_str()).or_default() += 1;
        }
        let mut alive = HashMap::new();
        for config in self.configs.of(service) {
            let count = by_config.get(config.hash.as_str()).copied().unwrap_or(0);
            for spec in &config.functions {
                *alive.entry(function_id(spec)).or_default() += count;
            }
        }
        alive
    }
}
