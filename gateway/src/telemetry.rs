//! Metrics, spans and what operators see of the traffic.
//!
//! Each shard counts with a [`Recorder`] of its own: no lock, no look-up by label, no cache line
//! that two threads write. What belongs to a function or an instance hangs at it in the registry's
//! snapshot. Whoever reads (a scrape, `GET /v1/stats`) adds up.
//!
//! `docs/telemetry.md` lists every metric; [`names`] is where they are declared.

mod attempt;
mod details;
pub mod docs;
pub mod function_stats;
pub mod histogram;
pub mod levels;
pub mod meters;
pub mod names;
mod prometheus;
mod recorder;
mod sampling;
pub mod spans;
pub mod stats;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sluice_protocol::ErrorCode;
use tokio_util::sync::CancellationToken;

pub(crate) use self::attempt::{AttemptRecord, OK};
use self::function_stats::FunctionStats;
use self::histogram::Durations;
use self::meters::{EdgeKind, Meters};
use self::names::{Metric, Series};
pub(crate) use self::prometheus::CONTENT_TYPE;
pub use self::recorder::{CallRecord, Recorder};
pub use self::sampling::Tracing;
use crate::dispatch::guards::{Breakers, Guarded};
use crate::dispatch::inbox::Inbox;
use crate::edge::capacity::Capacity;
use crate::health::Health;
use crate::hooks::Phase;
use crate::identity::Identifier;
use crate::limiter::Limiter;
use crate::registry::Registry;
use crate::registry::snapshot::{Function, Instance};

/// What the telemetry looks at when it is read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Functions and instances.
    pub registry: Arc<Registry>,
    /// Broker, Redis, readiness.
    pub health: Arc<Health>,
    /// Open connections.
    pub capacity: Arc<Capacity>,
    /// Circuits.
    pub breakers: Breakers,
    /// Rate limits.
    pub limiter: Arc<Limiter>,
    /// Who callers are, and from where.
    pub identifier: Arc<Identifier>,
    /// Makes spans, where somebody takes them.
    pub tracing: Option<Arc<Tracing>>,
    /// Whether each call is a line of the log at level info.
    pub access_log: bool,
}

/// The telemetry of a gateway process.
#[derive(Debug)]
pub struct Telemetry {
    sources: Sources,
    /// Of each thread; the first are those of everything that is no shard.
    meters: Mutex<Vec<Arc<Meters>>>,
    inboxes: Mutex<Vec<Arc<Inbox>>>,
    unknown: Arc<FunctionStats>,
    /// Requests to the admin API, by action and status.
    admin: Mutex<BTreeMap<(String, u16), u64>>,
    tick: AtomicU64,
    instance_series: bool,
}

impl Telemetry {
    /// Telemetry that adds up what the registry and all recorders count.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self {
            meters: Mutex::new(vec![sources.registry.meters().clone()]),
            sources,
            inboxes: Mutex::default(),
            unknown: Arc::default(),
            admin: Mutex::default(),
            tick: AtomicU64::new(0),
            instance_series: true,
        }
    }

    /// With series by instance in the scrape, or without.
    #[must_use]
    pub fn with_instance_series(mut self, wanted: bool) -> Self {
        self.instance_series = wanted;
        self
    }

    /// The recorder of a new thread.
    #[must_use]
    pub fn recorder(&self, thread: usize) -> Arc<Recorder> {
        let meters = Arc::new(Meters::default());
        self.meters.lock().push(meters.clone());
        Arc::new(Recorder::new(
            thread,
            meters,
            self.unknown.clone(),
            &self.sources,
        ))
    }

    /// Counts also what this inbox drops.
    pub fn watch(&self, inbox: Arc<Inbox>) {
        self.inboxes.lock().push(inbox);
    }

    /// Samples all functions and instances once a second, for rates.
    pub async fn sample(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(window::TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        // The first one comes at once.
        ticks.tick().await;
        let sampling = async {
            loop {
                ticks.tick().await;
                self.tick();
            }
        };
        stop.run_until_cancelled(sampling).await;
    }

    fn tick(&self) {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed) + 1;
        let snapshot = self.sources.registry.snapshot();
        for function in snapshot.functions() {
            let totals = function.stats.totals();
            function.stats.window.lock().tick(tick, &totals);
        }
        let totals = self.unknown.totals();
        self.unknown.window.lock().tick(tick, &totals);
        for instance in snapshot.instances() {
            let totals = instance.stats.as_calls();
            instance.stats.window.lock().tick(tick, &totals);
        }
    }

    fn now(&self) -> u64 {
        self.tick.load(Ordering::Relaxed)
    }

    fn sum(&self, series: Series) -> u64 {
        let meters = self.meters.lock();
        let all = meters.iter().map(|m| m.get(series));
        all.fold(0, u64::wrapping_add)
    }

    fn refused(&self, edge: EdgeKind, code: ErrorCode) -> u64 {
        let meters = self.meters.lock();
        meters.iter().map(|m| m.get_refused(edge, code)).sum()
    }

    fn limiter_durations(&self) -> Durations {
        let mut sum = Durations::default();
        for meters in self.meters.lock().iter() {
            meters.limiter.add_to(&mut sum);
        }
        sum
    }

    fn hook_durations(&self, phase: Phase) -> Durations {
        let mut sum = Durations::default();
        for meters in self.meters.lock().iter() {
            meters.hooks[phase as usize].add_to(&mut sum);
        }
        sum
    }

    /// Counts a request to a route of the admin API. Actions and statuses are few.
    pub(crate) fn admin_request(&self, action: String, status: u16) {
        *self.admin.lock().entry((action, status)).or_default() += 1;
    }

    fn admin_requests(&self) -> Vec<(Vec<String>, u64)> {
        let requests = self.admin.lock();
        let each = requests.iter();
        each.map(|((action, status), n)| (vec![action.clone(), status.to_string()], *n))
            .collect()
    }

    fn dropped_replies(&self) -> (u64, u64) {
        let inboxes = self.inboxes.lock();
        let stats = || inboxes.iter().map(|inbox| &inbox.stats);
        (
            stats().map(|s| s.unknown.load(Ordering::Relaxed)).sum(),
            stats().map(|s| s.surplus.load(Ordering::Relaxed)).sum(),
        )
    }

    fn functions(&self) -> Vec<Arc<Function>> {
        let snapshot = self.sources.registry.snapshot();
        let mut all: Vec<_> = snapshot.functions().cloned().collect();
        let key = |f: &Arc<Function>| (f.service.clone(), f.request_type.clone());
        // Stable: versions keep their order.
        all.sort_by_cached_key(key);
        all
    }

    fn each_function<E>(
        &self,
        mut visit: impl FnMut(&str, &str, &str, &FunctionStats) -> Result<(), E>,
    ) -> Result<(), E> {
        for function in self.functions() {
            let (service, name) = (function.service.as_str(), function.request_type.as_str());
            visit(
                service,
                name,
                prometheus::version(&function),
                &function.stats,
            )?;
        }
        visit(names::UNKNOWN, names::UNKNOWN, "", &self.unknown)
    }

    /// Each instance once, by service and id.
    fn instances(&self) -> Vec<Arc<Instance>> {
        self.sources.registry.snapshot().instances()
    }

    /// What is not counted but looked up: label values and value of each series.
    fn state_of(&self, metric: &Metric) -> Vec<(Vec<String>, u64)> {
        let sources = &self.sources;
        let one = |value: u64| vec![(Vec::new(), value)];
        match metric.name {
            n if n == names::EDGE_CONNECTIONS_OPEN.name => {
                one(sources.capacity.open_connections() as u64)
            }
            n if n == names::BROKER_CONNECTED.name => {
                one(u64::from(sources.health.broker_connected()))
            }
            n if n == names::REDIS_AVAILABLE.name => {
                one(u64::from(sources.health.redis_available() != Some(false)))
            }
            n if n == names::READY.name => one(u64::from(sources.health.is_ready())),
            n if n == names::REGISTRY_SERVICES.name => {
                one(sources.registry.snapshot().services.len() as u64)
            }
            n if n == names::REGISTRY_FUNCTIONS.name => one(self.functions().len() as u64),
            n if n == names::REGISTRY_INSTANCES.name => self.instances_by_service(),
            n if n == names::BREAKERS_OPEN.name => self.open_breakers(),
            n if n == names::ADMIN_REQUESTS.name => self.admin_requests(),
            n if n == names::SPANS.name => self.spans(),
            n if n == names::LIMIT_REFUSALS.name => self.limit_refusals(),
            n if n == names::FORWARDED_IGNORED.name => one(sources.identifier.ignored_forwarded()),
            _ => Vec::new(),
        }
    }

    fn instances_by_service(&self) -> Vec<(Vec<String>, u64)> {
        let mut counts = BTreeMap::new();
        for instance in self.instances() {
            *counts.entry(instance.service.to_string()).or_default() += 1;
        }
        let each = counts.into_iter();
        each.map(|(service, n)| (vec![service], n)).collect()
    }

    fn spans(&self) -> Vec<(Vec<String>, u64)> {
        let counts = self.sources.tracing.as_ref().map(|t| t.counts());
        let counts = counts.map_or([0; 3], |c| [c.exported(), c.dropped(), c.failed()]);
        let outcomes = ["exported", "dropped", "failed"].map(|o| vec![o.to_owned()]);
        outcomes.into_iter().zip(counts).collect()
    }

    fn limit_refusals(&self) -> Vec<(Vec<String>, u64)> {
        let all = self.sources.limiter.refusals().into_iter();
        let both = |(limit, refused, shadow): (String, u64, u64)| {
            let labels = |enforced: &str| vec![limit.clone(), enforced.to_owned()];
            [(labels("yes"), refused), (labels("no"), shadow)]
        };
        all.flat_map(both).collect()
    }

    fn open_breakers(&self) -> Vec<(Vec<String>, u64)> {
        let (mut functions, mut instances) = (0, 0);
        for status in self.sources.breakers.list() {
            if status.state == "closed" {
                continue;
            }
            match status.guarded {
                Guarded::Function { .. } => functions += 1,
                Guarded::Instance { .. } => instances += 1,
            }
        }
        vec![
            (vec!["function".to_owned()], functions),
            (vec!["instance".to_owned()], instances),
        ]
    }
}
