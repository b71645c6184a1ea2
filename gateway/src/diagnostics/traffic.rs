//! What a gateway has served, and whom it spares: for `sluice stats` and `sluice top`.

use serde::Serialize;

use super::Diagnostics;
use crate::dispatch::guards::BreakerStatus;
use crate::registry::status::{InstanceStatus, Status};
use crate::telemetry::stats::{InstanceTraffic, Stats};

/// The traffic of one gateway.
#[derive(Debug, Serialize)]
pub struct Traffic {
    /// What it has counted.
    #[serde(flatten)]
    pub stats: Stats,
    /// Breakers that have anything to say.
    pub breakers: Vec<BreakerStatus>,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
}

impl Diagnostics {
    pub(super) async fn traffic(&self) -> Result<Traffic, String> {
        let status = self.parts.registry.services().await;
        let mut stats = self.parts.telemetry.stats();
        add_resting(&mut stats, &status.map_err(|e| e.to_string())?);
        Ok(Traffic {
            stats,
            breakers: self.breakers.list(),
            uptime_ms: self.uptime_ms(),
        })
    }

    pub(super) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What instances are to operators: one that they drained, or that is silent, is no less there.
pub(super) fn state(instance: &InstanceStatus) -> String {
    if instance.drained {
        return "drained".to_owned();
    }
    if instance.silent {
        return "silent".to_owned();
    }
    let state = serde_json::to_value(instance.state).unwrap_or_default();
    state.as_str().unwrap_or_default().to_owned()
}

/// Adds the instances that take no calls, which nobody counts, and says why.
fn add_resting(stats: &mut Stats, status: &Status) {
    for service in &status.services {
        let counted = stats.services.entry(service.service.clone()).or_default();
        for instance in &service.instances {
            let state = state(instance);
            let known = |i: &&mut InstanceTraffic| i.instance == instance.instance;
            match counted.instances.iter_mut().find(known) {
                Some(known) => known.state = state,
                None => {
                    let mut idle = InstanceTraffic::idle(instance.instance.clone(), state);
                    idle.in_flight = instance.in_flight.into();
                    idle.reported_in_flight = instance.reported_in_flight.into();
                    idle.capacity = instance.capacity.into();
                    counted.instances.push(idle);
                }
            }
        }
        let by_id = |i: &InstanceTraffic| i.instance.clone();
        counted.instances.sort_by_cached_key(by_id);
    }
}
