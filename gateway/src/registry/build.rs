//! From what the table knows to what calls are resolved against.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use sluice_protocol::{FunctionName, FunctionSpec, InstanceId, ServiceName, Subjects};

use super::callers::Callers;
use super::configs::{Config, Configs, FunctionId, function_id};
use super::fixed::{CONFIG_FILE, FixedFunctions};
use super::instances::{Instances, Record};
use super::snapshot::{Function, FunctionVersions, Instance, Variant};
use crate::dispatch::breaker::Breaker;
use crate::dispatch::bulkhead::Bulkhead;
use crate::overrides::{FunctionKey, Overrides};
use crate::telemetry::function_stats::FunctionStats;

/// The functions of one service.
pub(super) type Functions = HashMap<FunctionName, FunctionVersions>;

/// What of a function outlives snapshots, for as long as the function is known.
#[derive(Debug, Clone)]
struct Slot {
    round_robin: Arc<AtomicUsize>,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Bulkhead>,
    stats: Arc<FunctionStats>,
    call_subject: String,
    callers: Arc<Callers>,
}

/// Makes functions, and keeps their counters.
#[derive(Debug, Default)]
pub(super) struct Builder {
    slots: HashMap<ServiceName, HashMap<FunctionId, Slot>>,
}

/// What one config has of one function.
struct Candidate<'a> {
    config: &'a Config,
    spec: &'a Arc<FunctionSpec>,
    instances: &'a Vec<Arc<Instance>>,
}

impl Builder {
    /// The functions of `service` now.
    pub(super) fn service(
        &mut self,
        service: &ServiceName,
        configs: &Configs,
        instances: &Instances,
        fixed: &FixedFunctions,
        overrides: &Overrides,
        subjects: &Subjects,
    ) -> Functions {
        let live = live_instances(service, configs, instances, overrides);
        let is_drained =
            |(id, r): (&InstanceId, &Record)| r.takes_calls() && overrides.is_drained(service, id);
        let by_instance = instances.of(service).any(is_drained);
        // Ordered, so that each function's versions come in ascending order.
        let mut variants: BTreeMap<FunctionId, Vec<Variant>> = candidates(service, configs, &live)
            .into_iter()
            .map(|(id, all)| (id, choose(all)))
            .collect();
        for (id, fixed) in fixed.get(service).into_iter().flatten() {
            let variant = Variant {
                config_hash: CONFIG_FILE.to_owned(),
                spec: fixed.spec.clone(),
                instances: Vec::new(),
                fixed_subject: Some(fixed.subject.clone()),
            };
            variants.insert(id.clone(), vec![variant]);
        }

        let mut old = self.slots.remove(service).unwrap_or_default();
        let mut slots = HashMap::new();
        let mut functions = Functions::new();
        for (id, variants) in variants {
            let slot = old.remove(&id).unwrap_or_else(|| Slot {
                round_robin: Arc::default(),
                breaker: Arc::default(),
                bulkhead: Arc::default(),
                stats: Arc::default(),
                callers: Arc::default(),
                call_subject: subjects.call(service, id.1.as_ref(), &id.0),
            });
            let word = overrides.function(&FunctionKey {
                service: service.clone(),
                function: id.0.clone(),
                version: id.1.clone(),
            });
            if word.is_some_and(|w| w.deleted) {
                slots.insert(id, slot);
                continue;
            }
            let function = Function {
                service: service.clone(),
                request_type: id.0.clone(),
                version: id.1.clone(),
                call_subject: slot.call_subject.clone(),
                disabled: word.is_some_and(|w| w.disabled)
                    || variants.iter().all(|v| v.spec.disabled),
                by_instance,
                notice: word.and_then(|w| Some(w.deprecated.as_ref()?.1.clone())),
                variants,
                round_robin: slot.round_robin.clone(),
                breaker: slot.breaker.clone(),
                bulkhead: slot.bulkhead.clone(),
                stats: slot.stats.clone(),
                callers: slot.callers.clone(),
            };
            let versions = functions.entry(id.0.clone()).or_default();
            versions.latest = overrides.latest(service, &id.0).cloned();
            versions.versions.push(Arc::new(function));
            slots.insert(id, slot);
        }
        if !slots.is_empty() {
            self.slots.insert(service.clone(), slots);
        }
        functions
    }
}

/// The instances that take calls, by the hash of their config, ordered by id.
fn live_instances(
    service: &ServiceName,
    configs: &Configs,
    instances: &Instances,
    overrides: &Overrides,
) -> HashMap<String, Vec<Arc<Instance>>> {
    let mut live: HashMap<String, Vec<Arc<Instance>>> = configs
        .of(service)
        .map(|config| (config.hash.clone(), Vec::new()))
        .collect();
    let takes_calls =
        |(id, r): &(&InstanceId, &Record)| r.takes_calls() && !overrides.is_drained(service, id);
    for (_, record) in instances.of(service).filter(takes_calls) {
        if let Some(all) = live.get_mut(&record.config_hash) {
            all.push(record.shared.clone());
        }
    }
    live
}

fn candidates<'a>(
    service: &ServiceName,
    configs: &'a Configs,
    live: &'a HashMap<String, Vec<Arc<Instance>>>,
) -> BTreeMap<FunctionId, Vec<Candidate<'a>>> {
    let mut out: BTreeMap<FunctionId, Vec<Candidate<'_>>> = BTreeMap::new();
    for config in configs.of(service) {
        let Some(instances) = live.get(&config.hash) else {
            continue;
        };
        for spec in &config.functions {
            out.entry(function_id(spec)).or_default().push(Candidate {
                config,
                spec,
                instances,
            });
        }
    }
    out
}

/// All that live instances run; where there are none, what was run last.
fn choose(candidates: Vec<Candidate<'_>>) -> Vec<Variant> {
    let any_live = candidates.iter().any(|c| !c.instances.is_empty());
    let last = candidates.iter().map(|c| c.config.last_used).max();
    let mut chosen: Vec<Variant> = candidates
        .into_iter()
        .filter(|c| {
            if any_live {
                !c.instances.is_empty()
            } else {
                Some(c.config.last_used) == last
            }
        })
        .map(|c| Variant {
            config_hash: c.config.hash.clone(),
            spec: c.spec.clone(),
            instances: c.instances.clone(),
            fixed_subject: None,
        })
        .collect();
    if !any_live {
        chosen.truncate(1);
    }
    chosen
}
