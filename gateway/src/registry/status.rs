//! What an operator sees of the registry: plain data for the admin API and the command line.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_protocol::registry::InstanceState;
use sluice_protocol::{ApiVersion, InstanceId, ServiceName};
use tokio::time::Instant;

use super::configs::Configs;
use super::instances::{Instances, Record};
use super::refused::Refused;
use super::snapshot::{Function, Variant};
use crate::overrides::{Deprecation, FunctionKey, Overrides};

/// Everything that the registry knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// By name.
    pub services: Vec<ServiceStatus>,
    /// Configs that are not in force, newest first; see [`super::Registry::refused`].
    pub refused: Vec<Refused>,
    /// Messages that were not taken, by kind.
    pub denied_messages: BTreeMap<String, u64>,
    /// Instances whose expiry the brakes held back, at the last look.
    pub expiry_held_back: usize,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub service: String,
    /// Live instances run different configs: a deploy goes on, or hangs.
    pub mixed_config: bool,
    /// By hash.
    pub configs: Vec<ConfigStatus>,
    /// The versions that are translated, oldest first, as the latest config lists them; null: none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub versions: Value,
    /// By name, then by version, oldest first.
    pub functions: Vec<FunctionStatus>,
    /// By id.
    pub instances: Vec<InstanceStatus>,
}

/// One config in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Its name.
    pub config_hash: String,
    /// Its label.
    pub config_version: Option<String>,
    /// How many functions it has.
    pub functions: usize,
    /// How many instances that take calls run it.
    pub live_instances: usize,
}

/// One version of one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// Its name.
    pub request_type: String,
    /// Its version.
    pub version: Option<String>,
    /// It takes no calls: an operator disabled it, or its worker registered it so.
    pub disabled: bool,
    /// An operator disabled it.
    pub disabled_by_operator: bool,
    /// It is on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    /// Live instances disagree on it.
    pub mixed_config: bool,
    /// Instances that take calls for it.
    pub live_instances: usize,
    /// The function that serves this version, through changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The subject of plain NATS responders (gateway's config file).
    pub fixed_subject: Option<String>,
    /// Its forms: one, but during a deploy. The one that most instances run is last.
    pub variants: Vec<VariantStatus>,
}

/// One config's form of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantStatus {
    /// The config.
    pub config_hash: String,
    /// How many instances that take calls run it.
    pub live_instances: usize,
    /// The function as it was registered.
    pub spec: Value,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its id.
    pub instance: String,
    /// What it said last.
    pub state: InstanceState,
    /// It takes calls: ready, its config is in force, and it responds.
    pub live: bool,
    /// An operator drains it: it gets no new calls, whatever it says of itself.
    #[serde(default)]
    pub drained: bool,
    /// Nobody responded there: taken out until its next heartbeat.
    pub silent: bool,
    /// The config that it runs.
    pub config_hash: String,
    /// Whether that config is in force here; if not it is being pulled, or was refused.
    pub config_known: bool,
    /// Milliseconds since its last message.
    pub last_seen_ms_ago: u64,
    /// Calls that this gateway has there.
    pub in_flight: u32,
    /// Calls that it held at its last heartbeat.
    pub reported_in_flight: u32,
    /// Calls that it takes at once; 0: not told.
    pub capacity: u32,
    /// Optional parts of the protocol that it speaks.
    pub features: Vec<String>,
    /// The encodings that it takes.
    pub encodings: Vec<String>,
}

/// One service as it is now.
pub(super) fn service(
    name: &ServiceName,
    configs: &Configs,
    instances: &Instances,
    functions: &super::snapshot::Functions,
    overrides: &Overrides,
    now: Instant,
) -> ServiceStatus {
    let mut live: HashMap<&str, usize> = HashMap::new();
    let drained = |id: &InstanceId| overrides.is_drained(name, id);
    let takes_calls = |(id, r): &(&InstanceId, &Record)| r.takes_calls() && !drained(id);
    for (_, record) in instances.of(name).filter(takes_calls) {
        *live.entry(record.config_hash.as_str()).or_default() += 1;
    }
    let configs_now: Vec<_> = configs
        .of(name)
        .map(|config| ConfigStatus {
            config_hash: config.hash.clone(),
            config_version: config.label.clone(),
            functions: config.functions.len(),
            live_instances: live.get(config.hash.as_str()).copied().unwrap_or(0),
        })
        .collect();
    let latest = configs
        .of(name)
        .filter(|config| !config.versions.is_empty())
        .max_by_key(|config| (live.contains_key(config.hash.as_str()), config.last_used));
    let mut names: Vec<_> = functions.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    ServiceStatus {
        service: name.to_string(),
        mixed_config: configs_now.iter().filter(|c| c.live_instances > 0).count() > 1,
        versions: latest.map_or(Value::Null, |config| config.versions.to_json()),
        configs: configs_now,
        functions: names
            .into_iter()
            .flat_map(|(_, all)| &all.versions)
            .map(|f| function(f, overrides))
            .collect(),
        instances: instances
            .of(name)
            .map(|(id, record)| {
                let is_known = configs.contains(name, &record.config_hash);
                instance(record, is_known, drained(id), now)
            })
            .collect(),
    }
}

fn function(f: &Function, overrides: &Overrides) -> FunctionStatus {
    let word = overrides.function(&FunctionKey {
        service: f.service.clone(),
        function: f.request_type.clone(),
        version: f.version.clone(),
    });
    let variant = |v: &Variant| VariantStatus {
        config_hash: v.config_hash.clone(),
        live_instances: v.instances.len(),
        spec: v.spec.to_json(),
    };
    let mut variants: Vec<_> = f.variants.iter().map(variant).collect();
    variants.sort_by_key(|v| v.live_instances);
    FunctionStatus {
        request_type: f.request_type.to_string(),
        version: f.version.as_ref().map(ApiVersion::to_string),
        disabled: f.disabled,
        disabled_by_operator: word.is_some_and(|w| w.disabled),
        deprecated: word.and_then(|w| Some(w.deprecated.as_ref()?.0.clone())),
        mixed_config: f.variants.windows(2).any(|two| two[0].spec != two[1].spec),
        live_instances: f.variants.iter().map(|v| v.instances.len()).sum(),
        served_by: f
            .variants
            .iter()
            .find_map(|v| v.translation.as_ref().map(|_| v.spec.label())),
        fixed_subject: f.variants.iter().find_map(|v| v.fixed_subject.clone()),
        variants,
    }
}

fn instance(record: &Record, config_known: bool, drained: bool, now: Instant) -> InstanceStatus {
    let shared = &record.shared;
    let age = now.duration_since(record.last_seen).as_millis();
    InstanceStatus {
        instance: shared.id.to_string(),
        state: record.state,
        live: config_known && record.takes_calls() && !drained,
        drained,
        silent: record.silent,
        config_hash: record.config_hash.clone(),
        config_known,
        last_seen_ms_ago: u64::try_from(age).unwrap_or(u64::MAX),
        in_flight: shared.in_flight.load(Ordering::Relaxed),
        reported_in_flight: shared.reported_in_flight.load(Ordering::Relaxed),
        capacity: shared.capacity.load(Ordering::Relaxed),
        features: record.features.clone(),
        encodings: record.encodings.clone(),
    }
}
