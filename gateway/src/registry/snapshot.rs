//! The immutable picture that calls are resolved against.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::callers::Callers;
use super::crew::Crew;
use super::routes::Routes;
use crate::dispatch::breaker::{Breaker, Suspects};
use crate::dispatch::bulkhead::Bulkhead;
use crate::overrides::{Notice, Pins};
use crate::telemetry::function_stats::{FunctionStats, InstanceStats};
use sluice_protocol::change::Chain;
use sluice_protocol::registry::feature;
use sluice_protocol::request::named_version;
use sluice_protocol::{
    ApiVersion, Encoding, FunctionName, FunctionSpec, InstanceId, ServiceName, Subjects,
    VersionRange,
};

/// A map that is asked for each call, by names that only workers and operators can put there: a
/// fast hash, with a seed of its own in each process.
pub type Names<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
/// The functions of one service.
pub type Functions = Names<FunctionName, FunctionVersions>;

/// Every function that is known, with the instances that serve it.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By service, then by function.
    pub services: Names<ServiceName, Functions>,
    /// The HTTP routes that they declare.
    pub routes: Routes,
    /// Which versions clients get that name none.
    pub pins: Arc<Pins>,
    /// Whether any version is on its way out.
    pub has_notices: bool,
}

/// All versions of one function, oldest first; one without version stands before all others.
#[derive(Debug, Clone, Default)]
pub struct FunctionVersions {
    /// In ascending order.
    pub versions: Vec<Arc<Function>>,
    /// The latest, if an operator says which.
    pub latest: Option<ApiVersion>,
}

/// One version of one function.
#[derive(Debug)]
pub struct Function {
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub request_type: FunctionName,
    /// Which version.
    pub version: Option<ApiVersion>,
    /// Where any worker of it listens, by queue group.
    pub call_subject: String,
    /// Switched off by an operator, or registered so.
    pub disabled: bool,
    /// An operator drains one of its instances, which still listens: the broker must not pick.
    pub by_instance: bool,
    /// The version is on its way out: what its callers are told.
    pub notice: Option<Arc<Notice>>,
    /// What live instances run, by config: one, but during a deploy. Never empty: after the last
    /// instance has gone its config stays for a while, so that the function stays known.
    pub variants: Vec<Variant>,
    /// The counter of round_robin: strict, over all shards, kept when the snapshot changes.
    pub round_robin: Arc<AtomicUsize>,
    /// What its calls came to, over all shards and snapshots.
    pub breaker: Arc<Breaker>,
    /// Its calls in flight, over all shards and snapshots.
    pub bulkhead: Arc<Bulkhead>,
    /// What is counted of its calls, over all shards and snapshots.
    pub stats: Arc<FunctionStats>,
    /// Who calls it.
    pub callers: Arc<Callers>,
}

impl Function {
    /// A function of one config, that nothing is counted of yet.
    #[must_use]
    pub fn of(spec: FunctionSpec, instances: Vec<Arc<Instance>>, subjects: &Subjects) -> Self {
        Self {
            service: spec.service.clone(),
            request_type: spec.request_type.clone(),
            version: spec.version.clone(),
            call_subject: subjects.call(&spec.service, spec.version.as_ref(), &spec.request_type),
            disabled: spec.disabled,
            by_instance: false,
            notice: None,
            variants: vec![Variant {
                config_hash: "c1".to_owned(),
                spec: Arc::new(spec),
                instances: instances.into(),
                fixed_subject: None,
                bare: false,
                translation: None,
            }],
            round_robin: Arc::default(),
            breaker: Arc::default(),
            bulkhead: Arc::default(),
            stats: Arc::default(),
            callers: Arc::default(),
        }
    }
}

/// One config's form of a function, and who runs it.
#[derive(Debug)]
pub struct Variant {
    /// The hash of the config.
    pub config_hash: String,
    /// The function as that config has it.
    pub spec: Arc<FunctionSpec>,
    /// The instances that take calls, ordered by id.
    pub instances: Crew,
    /// The function is served by plain NATS responders on this subject (gateway's config file):
    /// nothing is known of instances.
    pub fixed_subject: Option<String>,
    /// Messages to them go without headers.
    pub bare: bool,
    /// Clients of this version are served by a newer one, whose function `spec` is.
    pub translation: Option<Arc<Translation>>,
}

/// The way of a version that has no function of its own.
#[derive(Debug)]
pub struct Translation {
    /// What requests and responses pass.
    pub chain: Chain,
    /// Whether workers of other configs, to whom these changes do not apply, serve the newer
    /// version as well: then the broker must not pick.
    pub shared: bool,
    /// The function as its clients know it: their version, their args.
    pub seen: Arc<FunctionSpec>,
}

impl Variant {
    /// Whether the broker could hand its calls to workers of another config.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.translation.as_ref().is_some_and(|t| t.shared)
    }
}

/// One worker process that serves a service.
#[derive(Debug)]
pub struct Instance {
    /// Which one.
    pub id: InstanceId,
    /// Of which service.
    pub service: ServiceName,
    /// Sends beats and answers pings.
    pub beats: bool,
    /// Counts credit.
    pub credit: bool,
    /// Obeys cancel.
    pub cancel: bool,
    /// Translates by changes in code.
    pub pending: bool,
    /// Takes MessagePack.
    pub message_pack: bool,
    /// Where it hears cancel and credit.
    pub control_subject: String,
    /// Where it answers whether it holds a call.
    pub ping_subject: String,
    /// Calls that it takes at once; 0: not told.
    pub capacity: AtomicU32,
    /// Calls that it held at its last heartbeat.
    pub reported_in_flight: AtomicU32,
    /// Calls that this gateway has there.
    pub in_flight: AtomicU32,
    /// A moving average of its answers' latency in microseconds.
    pub latency_us: AtomicU32,
    /// Until when it is passed over after it did not respond: milliseconds of the registry's
    /// clock ([`Instance::suspend`]).
    pub suspended_until_ms: AtomicU64,
    /// How often in a row nobody responded there.
    pub no_responders: AtomicU32,
    /// What its calls came to.
    pub breaker: Arc<Breaker>,
    /// What is counted of them.
    pub stats: InstanceStats,
}

impl Instance {
    /// An instance with nothing known of its load.
    #[must_use]
    pub fn new(
        id: InstanceId,
        service: ServiceName,
        subjects: &Subjects,
        features: &[String],
        encodings: &[String],
    ) -> Self {
        let has = |name: &str| features.iter().any(|f| f == name);
        Self {
            beats: has(feature::BEAT),
            credit: has(feature::CREDIT),
            cancel: has(feature::CANCEL),
            pending: has(feature::PENDING),
            message_pack: encodings.iter().any(|e| e == Encoding::MessagePack.name()),
            control_subject: subjects.control(&service, &id),
            ping_subject: subjects.ping(&service, &id),
            id,
            service,
            capacity: AtomicU32::new(0),
            reported_in_flight: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
            suspended_until_ms: AtomicU64::new(0),
            no_responders: AtomicU32::new(0),
            breaker: Arc::default(),
            stats: InstanceStats::default(),
        }
    }

    /// The same, counted with the others of its service while its breaker is not clean.
    #[must_use]
    pub fn among(self, suspects: Arc<Suspects>) -> Self {
        Self {
            breaker: Arc::new(Breaker::among(suspects)),
            ..self
        }
    }

    /// Nobody responded on the instance's subject: pass it over for a second. From the second
    /// time in a row on the registry takes it out at its next look.
    pub fn suspend(&self, now_ms: u64) {
        self.suspended_until_ms
            .store(now_ms + 1000, Ordering::Relaxed);
        self.no_responders.fetch_add(1, Ordering::Relaxed);
    }

    /// The instance answered: it may be selected again.
    pub fn responded(&self) {
        if self.no_responders.load(Ordering::Relaxed) != 0 {
            self.no_responders.store(0, Ordering::Relaxed);
            self.suspended_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it may be selected.
    #[must_use]
    pub fn is_available(&self, now_ms: u64) -> bool {
        self.suspended_until_ms.load(Ordering::Relaxed) <= now_ms
    }
}

impl Function {
    /// Whether anybody takes calls for it, as far as is known.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.variants
            .iter()
            .any(|v| v.fixed_subject.is_some() || !v.instances.is_empty())
    }
}

/// Why a name leads to no function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// No such service or function.
    Function,
    /// No such version; these exist.
    Version(Vec<String>),
}

impl Snapshot {
    /// Finds the function that a client named: an exact version, the newest of a range, else the
    /// latest enabled one that is served, else the one without version.
    ///
    /// # Errors
    /// When there is none. A function that is disabled is found: the caller decides.
    pub fn resolve(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<&Arc<Function>, Unresolved> {
        self.resolve_for(service, request_type, version, (None, None))
    }

    /// The version that is pinned for a caller. Not every function of a service has every version:
    /// a pin for a service is passed over then.
    fn pin_of<'a>(
        &'a self,
        all: &FunctionVersions,
        service: &str,
        request_type: &str,
        (user, api_key): (Option<&str>, Option<&str>),
    ) -> Option<&'a str> {
        if self.pins.is_empty() {
            return None;
        }
        let pin = self.pins.find(user, api_key, service, request_type)?;
        (!pin.of_service || all.named(pin.version).is_some()).then_some(pin.version)
    }

    /// Whether a caller who names no version gets a pinned one.
    #[must_use]
    pub(super) fn is_pinned(
        &self,
        service: &str,
        request_type: &str,
        caller: (Option<&str>, Option<&str>),
    ) -> bool {
        let functions = self.services.get(service);
        let all = functions.and_then(|functions| functions.get(request_type));
        all.is_some_and(|all| self.pin_of(all, service, request_type, caller).is_some())
    }

    /// The same for a caller, by user and API key, who may have a version pinned.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_for(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
        (user, api_key): (Option<&str>, Option<&str>),
    ) -> Result<&Arc<Function>, Unresolved> {
        let all = self
            .services
            .get(service)
            .and_then(|functions| functions.get(request_type))
            .ok_or(Unresolved::Function)?;
        let found = match named_version(version) {
            Some(version) => all.named(version),
            None => match self.pin_of(all, service, request_type, (user, api_key)) {
                None => all.current(),
                Some(version) => all.named(version),
            },
        };
        found.ok_or_else(|| {
            Unresolved::Version(
                all.versions
                    .iter()
                    .filter_map(|f| f.version.as_ref())
                    .map(ToString::to_string)
                    .collect(),
            )
        })
    }
}

impl Snapshot {
    /// Every version of every function; those of one function in ascending order, else in none.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        let functions = self.services.values().flat_map(Functions::values);
        functions.flat_map(|all| &all.versions)
    }

    /// Each instance that takes calls, once, by service and id.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        let variants = self.functions().flat_map(|f| &f.variants);
        let mut crews: Vec<&Crew> = variants.map(|v| &v.instances).collect();
        // A thousand functions of one config have their instances in common.
        crews.sort_by_key(|crew| crew.place());
        crews.dedup_by_key(|crew| crew.place());
        let mut all: Vec<_> = crews.into_iter().flatten().cloned().collect();
        all.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
        all.dedup_by(|a, b| a.service == b.service && a.id == b.id);
        all
    }

    /// The same version of the same function, as it is here.
    #[must_use]
    pub fn same(&self, function: &Function) -> Option<&Arc<Function>> {
        let functions = self.services.get(&function.service)?;
        let all = functions.get(&function.request_type)?;
        all.versions.iter().find(|f| f.version == function.version)
    }
}

impl FunctionVersions {
    /// Exactly this version; `None`: the function that has none.
    #[must_use]
    pub fn exact(&self, version: Option<&str>) -> Option<&Arc<Function>> {
        self.versions
            .iter()
            .find(|f| f.version.as_ref().map(ApiVersion::as_str) == version)
    }

    /// Exactly this version; where none has that name and it is a range, the newest within.
    fn named(&self, version: &str) -> Option<&Arc<Function>> {
        self.exact(Some(version)).or_else(|| {
            let range = VersionRange::parse(version)?;
            self.newest(|f| f.version.as_ref().is_some_and(|v| range.contains(v)))
        })
    }

    /// What a call gets that names no version: the one that an operator chose, else the newest
    /// enabled one that is served, else the one without version.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Function>> {
        let chosen = self.latest.as_ref().map(ApiVersion::as_str);
        let chosen = chosen.and_then(|version| self.exact(Some(version)));
        if let Some(chosen) = chosen.filter(|f| !f.disabled) {
            return Some(chosen);
        }
        // One without version stands before all others.
        self.newest(|f| f.version.as_ref().is_none_or(|v| !v.is_prerelease()))
    }

    fn newest(&self, wanted: impl Fn(&Function) -> bool) -> Option<&Arc<Function>> {
        let candidates = || self.versions.iter().rev().filter(|f| wanted(f));
        candidates()
            // A version that is being rolled out has no instances yet, and one that was rolled
            // back has none any more: neither is what "the latest" means.
            .find(|f| !f.disabled && f.is_served())
            .or_else(|| candidates().find(|f| !f.disabled))
            // All are disabled: say that, not that there is none.
            .or_else(|| candidates().next())
    }
}
