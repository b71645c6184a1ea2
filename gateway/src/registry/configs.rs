//! The configs in force: immutable, by service and hash. All of a config is taken or none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::change::{Chain, Versions};
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::registry::{ConfigText, Reason, config_hash};
use sluice_protocol::{ApiVersion, FunctionName, FunctionSpec, ServiceName};
use tokio::time::Instant;

use super::limits::{Limits, NAME_BYTES};
use super::refused::reason;
use super::routes::conflict;

/// How a config's text becomes functions.
pub(super) type ParseConfig =
    Box<dyn Fn(&ServiceName, &str) -> Result<ServiceConfig, Vec<Reason>> + Send + Sync>;

/// One version of one function of a service that is known from elsewhere.
pub(super) type FunctionId = (FunctionName, Option<ApiVersion>);

/// The identity of a function within its service.
pub(super) fn function_id(spec: &FunctionSpec) -> FunctionId {
    (spec.request_type.clone(), spec.version.clone())
}

/// A version that has no function of its own, and the one that serves it.
#[derive(Debug)]
pub(super) struct TranslatedFunction {
    pub(super) version: ApiVersion,
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) chain: Chain,
}

impl Config {
    fn size(&self) -> usize {
        self.functions.len() + self.translated.len()
    }
}

/// One config in force.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) hash: String,
    pub(super) label: Option<String>,
    pub(super) functions: Vec<Arc<FunctionSpec>>,
    pub(super) translated: Vec<TranslatedFunction>,
    pub(super) versions: Versions,
    bytes: usize,
    /// When an instance that takes or will take calls was last heard to run it.
    pub(super) last_used: Instant,
    /// Since when no instance runs it.
    idle_since: Option<Instant>,
}

/// All configs.
pub(super) struct Configs {
    parse: ParseConfig,
    by_service: HashMap<ServiceName, BTreeMap<String, Config>>,
    functions: usize,
    bytes: usize,
}

impl Configs {
    pub(super) fn new(parse: ParseConfig) -> Self {
        Self {
            parse,
            by_service: HashMap::new(),
            functions: 0,
            bytes: 0,
        }
    }

    pub(super) fn contains(&self, service: &ServiceName, hash: &str) -> bool {
        self.get(service, hash).is_some()
    }

    pub(super) fn get(&self, service: &ServiceName, hash: &str) -> Option<&Config> {
        self.by_service.get(service)?.get(hash)
    }

    /// The configs of one service, by hash.
    pub(super) fn of(&self, service: &ServiceName) -> impl Iterator<Item = &Config> {
        self.by_service
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.by_service.keys()
    }

    /// An instance that takes or will take calls runs the config.
    pub(super) fn used(&mut self, service: &ServiceName, hash: &str, now: Instant) {
        if let Some(config) = self
            .by_service
            .get_mut(service)
            .and_then(|c| c.get_mut(hash))
        {
            config.last_used = now;
            config.idle_since = None;
        }
    }

    /// Puts a config in force, or says everything that is wrong with it. `fixed` is all that the
    /// gateway's own config file defines.
    pub(super) fn take(
        &mut self,
        service: &ServiceName,
        hash: &str,
        config: &ConfigText,
        fixed: &[Arc<FunctionSpec>],
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Vec<Reason>> {
        if config_hash(&config.text) != hash {
            return Err(vec![reason(format!(
                "the config's text does not have the hash {hash}: the first 32 hex digits of the SHA-256 of exactly the bytes of field config"
            ))]);
        }
        let parsed = (self.parse)(service, &config.text)?;
        let translated = parsed.translated();
        let ServiceConfig {
            functions,
            versions,
        } = parsed;
        let size = functions.len() + translated.len();
        let of_service = |id: &FunctionId| {
            let own = |s: &Arc<FunctionSpec>| s.service == *service && function_id(s) == *id;
            fixed.iter().any(own)
        };
        let mut reasons = faults(service, &functions, of_service, limits);
        reasons.extend(self.taken_routes(service, &functions, fixed));
        if config
            .config_version
            .as_ref()
            .is_some_and(|label| label.len() > 2 * NAME_BYTES)
        {
            reasons.push(Reason {
                field: "config_version".to_owned(),
                ..reason(format!("must be at most {} bytes", 2 * NAME_BYTES))
            });
        }
        if reasons.is_empty() {
            self.make_room(service, hash, limits);
        }
        reasons.extend(self.beyond_limits(service, hash, size, config.text.len(), limits));
        if !reasons.is_empty() {
            return Err(reasons);
        }
        self.remove(service, hash);
        self.functions += size;
        self.bytes += config.text.len();
        let functions: Vec<Arc<FunctionSpec>> = functions.into_iter().map(Arc::new).collect();
        let translated = translated.into_iter().map(|one| TranslatedFunction {
            version: one.version,
            spec: functions[one.function].clone(),
            chain: one.chain,
        });
        let config = Config {
            hash: hash.to_owned(),
            label: config.config_version.clone(),
            translated: translated.collect(),
            versions,
            functions,
            bytes: config.text.len(),
            last_used: now,
            idle_since: None,
        };
        let all = self.by_service.entry(service.clone()).or_default();
        all.insert(hash.to_owned(), config);
        Ok(())
    }

    /// Routes that another service has already: whoever comes first keeps it, until it is gone.
    /// Within a service a route may move from one function to another.
    fn taken_routes(
        &self,
        service: &ServiceName,
        functions: &[FunctionSpec],
        fixed: &[Arc<FunctionSpec>],
    ) -> Vec<Reason> {
        if functions.iter().all(|spec| spec.routes.is_empty()) {
            return Vec::new();
        }
        let others = self.by_service.iter().filter(|(name, _)| *name != service);
        let others = others.flat_map(|(_, configs)| configs.values().flat_map(|c| &c.functions));
        let own_file = fixed.iter().filter(|spec| spec.service != *service);
        let taken: Vec<&FunctionSpec> = others
            .chain(own_file)
            .map(|spec| &**spec)
            .filter(|spec| !spec.routes.is_empty())
            .collect();
        let mut reasons = Vec::new();
        for spec in functions {
            for other in &taken {
                if let Some((index, theirs)) = conflict(spec, other) {
                    reasons.push(Reason {
                        function: spec.label(),
                        field: format!("routes/{index}"),
                        message: format!(
                            "{:?} matches the same requests as {theirs:?} of {}",
                            spec.routes[index],
                            other.label()
                        ),
                    });
                    break;
                }
            }
        }
        reasons
    }

    /// Forgets configs that nobody has run for `ttl`; returns the services that had one.
    /// `runs` says whether an instance is bound to a config.
    pub(super) fn expire(
        &mut self,
        runs: impl Fn(&ServiceName, &str) -> bool,
        ttl: Duration,
        now: Instant,
    ) -> Vec<ServiceName> {
        let mut due = Vec::new();
        for (service, configs) in &mut self.by_service {
            for config in configs.values_mut() {
                if runs(service, &config.hash) {
                    config.idle_since = None;
                } else if now.duration_since(*config.idle_since.get_or_insert(now)) >= ttl {
                    due.push((service.clone(), config.hash.clone()));
                }
            }
        }
        for (service, hash) in &due {
            self.remove(service, hash);
        }
        due.into_iter().map(|(service, _)| service).collect()
    }

    fn remove(&mut self, service: &ServiceName, hash: &str) {
        let Some(configs) = self.by_service.get_mut(service) else {
            return;
        };
        if let Some(old) = configs.remove(hash) {
            self.functions -= old.size();
            self.bytes -= old.bytes;
        }
        if configs.is_empty() {
            self.by_service.remove(service);
        }
    }

    /// Deploys in a row must not fill a service's share: idle configs make way for a new one.
    fn make_room(&mut self, service: &ServiceName, hash: &str, limits: &Limits) {
        let Some(configs) = self.by_service.get(service) else {
            return;
        };
        if configs.contains_key(hash) || configs.len() < limits.configs_per_service {
            return;
        }
        let idle = configs.values().filter(|c| c.idle_since.is_some());
        let oldest = idle.min_by_key(|c| c.last_used).map(|c| c.hash.clone());
        if let Some(oldest) = oldest {
            self.remove(service, &oldest);
        }
    }

    fn beyond_limits(
        &self,
        service: &ServiceName,
        hash: &str,
        functions: usize,
        bytes: usize,
        limits: &Limits,
    ) -> Vec<Reason> {
        let of_service = self.by_service.get(service);
        let old = of_service.and_then(|c| c.get(hash));
        let kept = |total: usize, of: fn(&Config) -> usize| total - old.map_or(0, of);
        let checks = [
            (
                "services",
                self.by_service.len() - usize::from(of_service.is_some()) + 1,
                limits.services,
            ),
            (
                "configs of this service",
                of_service.map_or(0, BTreeMap::len) - usize::from(old.is_some()) + 1,
                limits.configs_per_service,
            ),
            (
                "functions of all services",
                kept(self.functions, Config::size) + functions,
                limits.functions,
            ),
            (
                "bytes of all configs",
                kept(self.bytes, |c| c.bytes) + bytes,
                limits.config_bytes,
            ),
        ];
        checks
            .into_iter()
            .filter(|(_, would_be, max)| would_be > max)
            .map(|(what, _, max)| {
                reason(format!(
                    "the gateway takes at most {max} {what}; that is full"
                ))
            })
            .collect()
    }
}

impl Configs {
    /// Whether a config has changes in code, which not every worker can run.
    pub(super) fn has_code(&self, service: &ServiceName, hash: &str) -> bool {
        let config = self.get(service, hash);
        config.is_some_and(|config| config.translated.iter().any(|one| one.chain.has_code()))
    }
}

/// What the functions' own checks cannot know.
fn faults(
    service: &ServiceName,
    functions: &[FunctionSpec],
    fixed: impl Fn(&FunctionId) -> bool,
    limits: &Limits,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let max = limits.functions_per_config;
    if functions.len() > max {
        reasons.push(reason(format!(
            "a config may have at most {max} functions, this one has {}",
            functions.len()
        )));
    }
    let mut seen = HashSet::new();
    for spec in functions {
        let id = function_id(spec);
        let mut fault = |message: &str| {
            reasons.push(Reason {
                function: spec.label(),
                ..reason(message)
            });
        };
        if spec.service != *service {
            fault("belongs to another service than the config");
        }
        if fixed(&id) {
            fault(
                "is defined in the gateway's own config file ([[function]]): remove it there, or do not register it",
            );
        }
        if !seen.insert(id) {
            fault("stands twice in the config");
        }
    }
    reasons
}
