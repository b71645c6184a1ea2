//! From what the table knows to what calls are resolved against.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use sluice_protocol::change::Chain;
use sluice_protocol::{FunctionSpec, InstanceId, ServiceName, Subjects};

use super::callers::Callers;
use super::configs::{Config, Configs, FunctionId, function_id};
use super::crew::Crew;
use super::fixed::{CONFIG_FILE, FixedFunctions};
use super::instances::{Instances, Record};
use super::snapshot::{Function, Functions, Instance, Translation, Variant};
use crate::dispatch::breaker::Breaker;
use crate::dispatch::bulkhead::Bulkhead;
use crate::overrides::{FunctionKey, Overrides};
use crate::telemetry::function_stats::FunctionStats;

/// What of a function outlives snapshots, for as long as the function is known.
#[derive(Debug, Clone)]
struct Slot {
    round_robin: Arc<AtomicUsize>,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Bulkhead>,
    call_subject: String,
}

/// What is counted of one version, translated or not.
#[derive(Debug, Default, Clone)]
struct Counts {
    stats: Arc<FunctionStats>,
    callers: Arc<Callers>,
}

/// Makes functions, and keeps their counters.
#[derive(Debug, Default)]
pub(super) struct Builder {
    slots: HashMap<ServiceName, HashMap<FunctionId, Slot>>,
    counts: HashMap<ServiceName, HashMap<FunctionId, Counts>>,
}

/// What one config has of one function.
struct Candidate<'a> {
    config: &'a Config,
    spec: &'a Arc<FunctionSpec>,
    instances: &'a Crew,
    chain: Option<&'a Chain>,
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
                instances: Crew::default(),
                fixed_subject: Some(fixed.subject.clone()),
                bare: !fixed.headers,
                translation: None,
            };
            variants.insert(id.clone(), vec![variant]);
        }
        mark_shared(&mut variants);

        let mut old = self.slots.remove(service).unwrap_or_default();
        let mut slots = HashMap::new();
        let mut count_before = self.counts.remove(service).unwrap_or_default();
        let mut counts = HashMap::new();
        let mut functions = Functions::default();
        for (id, variants) in variants {
            // A version that is translated has no counters of its own: its calls are calls of the
            // function that serves it.
            let served = served_by(&id, &variants);
            let known = slots.get(&served).cloned().or_else(|| old.remove(&served));
            let slot = known.unwrap_or_else(|| Slot {
                round_robin: Arc::default(),
                breaker: Arc::default(),
                bulkhead: Arc::default(),
                call_subject: subjects.call(service, served.1.as_ref(), &served.0),
            });
            let count = count_before.remove(&id).unwrap_or_default();
            counts.insert(id.clone(), count.clone());
            let word = overrides.function(&FunctionKey {
                service: service.clone(),
                function: id.0.clone(),
                version: id.1.clone(),
            });
            if word.is_some_and(|w| w.deleted) {
                slots.insert(served, slot);
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
                stats: count.stats,
                callers: count.callers,
            };
            let versions = functions.entry(id.0.clone()).or_default();
            versions.latest = overrides.latest(service, &id.0).cloned();
            versions.versions.push(Arc::new(function));
            slots.insert(served, slot);
        }
        if !slots.is_empty() {
            self.slots.insert(service.clone(), slots);
            self.counts.insert(service.clone(), counts);
        }
        functions
    }
}

/// The function whose workers take calls of `id`.
fn served_by(id: &FunctionId, variants: &[Variant]) -> FunctionId {
    let translated = variants.iter().all(|v| v.translation.is_some());
    match variants.first().filter(|_| translated) {
        Some(variant) => function_id(&variant.spec),
        None => id.clone(),
    }
}

/// During a deploy workers of several configs take calls of one function: those that one config
/// translates must not reach workers of another.
fn mark_shared(variants: &mut BTreeMap<FunctionId, Vec<Variant>>) {
    let several: HashSet<FunctionId> = variants
        .iter()
        .filter(|(_, all)| all.len() > 1)
        .map(|(id, _)| id.clone())
        .collect();
    for variant in variants.values_mut().flatten() {
        if let Some(translation) = variant.translation.as_mut().and_then(Arc::get_mut) {
            translation.shared = several.contains(&function_id(&variant.spec));
        }
    }
}

/// The instances that take calls, by the hash of their config, ordered by id.
fn live_instances(
    service: &ServiceName,
    configs: &Configs,
    instances: &Instances,
    overrides: &Overrides,
) -> HashMap<String, Crew> {
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
    let crew = |(hash, all)| (hash, Crew::new(all));
    live.into_iter().map(crew).collect()
}

fn candidates<'a>(
    service: &ServiceName,
    configs: &'a Configs,
    live: &'a HashMap<String, Crew>,
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
                chain: None,
            });
        }
        for one in &config.translated {
            let id = (one.spec.request_type.clone(), Some(one.version.clone()));
            out.entry(id).or_default().push(Candidate {
                config,
                spec: &one.spec,
                instances,
                chain: Some(&one.chain),
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
            bare: false,
            translation: c.chain.map(|chain| {
                let mut seen = FunctionSpec::clone(c.spec);
                seen.version = Some(chain.from().clone());
                seen.arg_types = chain.client_types(seen.arg_types.as_ref());
                Arc::new(Translation {
                    chain: chain.clone(),
                    shared: false,
                    seen: Arc::new(seen),
                })
            }),
        })
        .collect();
    if !any_live {
        chosen.truncate(1);
    }
    chosen
}
