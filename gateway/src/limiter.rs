//! How many calls a caller may make: sliding windows, shared by all gateways.
//!
//! ```text
//! call → rules that apply → keys of the caller → refused lately? → one look at the store → verdict
//! ```
//!
//! The store is Redis, or this process where there is no Redis. A call that no limit applies to
//! costs one atomic load.

mod denied;
mod follow;
mod key;
mod known;
mod limit;
mod log;
mod memory;
mod operate;
mod peek;
mod redis;
mod refused;
mod rules;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use sluice_protocol::{CallError, ErrorCode};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use self::key::{Asking, CountedArgs, Key};
pub use self::limit::{Fault, Limit};
pub use self::operate::{OperateError, Status};
pub use self::peek::LimitLook;
pub use self::refused::{Refused, Who};
pub use self::rules::Rule;

use self::denied::Denied;
use self::memory::MemoryStore;
use self::redis::RedisStore;
use self::rules::Rules;
use self::store::{Changes, Demand, Store, Verdict};
use crate::config::{KeyLayout, LimitOptions, OnFailure};
use crate::redis_link::RedisLink;

/// Says how many gateways there are.
type LiveGateways = Arc<dyn Fn() -> usize + Send + Sync>;

/// Decides whether a caller may make one more call. Clones share all but their way to the store.
#[derive(Clone)]
pub struct Limiter {
    base: Arc<[Limit]>,
    on_failure: OnFailure,
    cluster: KeyLayout,
    poll: Duration,
    rules: Arc<ArcSwap<Rules>>,
    store: Arc<dyn Store>,
    /// For the time that the store is away, under `local`.
    local: Arc<MemoryStore>,
    denied: Arc<Denied>,
    gateways: LiveGateways,
    /// The rules that are known are not those of the store.
    stale: Arc<Notify>,
    /// The generation that others should hear of.
    changed: watch::Sender<u64>,
    /// Calls that were decided without the store since the start.
    without_store: Arc<AtomicU64>,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter")
            .field("rules", &self.rules)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What the tightest limit of an admitted call has left.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Which limit.
    pub rule: Arc<Rule>,
    /// Calls that it would still admit now.
    pub remaining: u64,
}

/// Why a call may not go on.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It is over a limit.
    Limited {
        /// Which one; the one to wait for longest, if several.
        rule: Arc<Rule>,
        /// How long.
        wait: Duration,
    },
    /// Nobody can say, and calls are to be refused then.
    Unavailable,
}

impl Limiter {
    /// Limits of this process alone: of the config file, and changed by [operators](Self::add).
    #[must_use]
    pub fn in_memory(limits: &[Limit], options: &LimitOptions) -> Self {
        let store = Arc::new(MemoryStore::new(options.max_keys));
        Self::with_store(store, limits, options, Arc::new(|| 1))
    }

    /// Limits that all gateways share, in Redis. `gateways` says how many there are, for the time
    /// that Redis is away.
    #[must_use]
    pub fn in_redis(
        link: RedisLink,
        limits: &[Limit],
        options: &LimitOptions,
        gateways: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        let prefix = link.prefix().to_owned();
        let store = RedisStore::new(link, &prefix, options.cluster);
        Self::with_store(Arc::new(store), limits, options, Arc::new(gateways))
    }

    /// The same limiter over a connection of another thread.
    #[must_use]
    pub fn over(&self, link: RedisLink) -> Self {
        let prefix = link.prefix().to_owned();
        Self {
            store: Arc::new(RedisStore::new(link, &prefix, self.cluster)),
            ..self.clone()
        }
    }

    fn with_store(
        store: Arc<dyn Store>,
        limits: &[Limit],
        options: &LimitOptions,
        gateways: LiveGateways,
    ) -> Self {
        let rules = Rules::new(limits, Changes::default(), &Rules::default());
        Self {
            base: limits.into(),
            on_failure: options.on_failure,
            cluster: options.cluster,
            poll: options.poll,
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            store,
            local: Arc::new(MemoryStore::new(options.max_keys)),
            denied: Arc::new(Denied::new()),
            gateways,
            stale: Arc::new(Notify::new()),
            changed: watch::Sender::new(0),
            without_store: Arc::default(),
        }
    }

    /// Of each limit: its name, how many calls it refused, how many it would have refused if it
    /// were not in shadow.
    #[must_use]
    pub fn refusals(&self) -> Vec<(String, u64, u64)> {
        let rules = self.rules.load();
        let of = |rule: &Arc<Rule>| {
            let counts = &rule.counts;
            (
                rule.limit.name.to_string(),
                counts.refused.load(Ordering::Relaxed),
                counts.shadow.load(Ordering::Relaxed),
            )
        };
        rules.list().iter().map(of).collect()
    }

    /// Whether there is any limit at all.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.rules.load().is_empty()
    }

    /// Checks all limits that apply to a call, and counts it if they admit it. `None`: no
    /// limit applies, or nobody can say and calls are to pass then.
    ///
    /// # Errors
    /// When the call may not go on; it was counted nowhere then.
    pub async fn admit(&self, asking: &Asking<'_>) -> Result<Option<Quota>, Refusal> {
        let (generation, demands) = {
            let rules = self.rules.load();
            if rules.is_empty() {
                return Ok(None);
            }
            let demand = |rule: &Arc<Rule>| {
                tell_of_unknown_args(rule, asking);
                Some(Demand::new(rule, rule.limit.key.of(asking)?))
            };
            let of = rules
                .of(asking.service, asking.function)
                .filter(|rule| rule.limit.concerns(asking.caller));
            (rules.generation, of.filter_map(demand).collect::<Vec<_>>())
        };
        if demands.is_empty() {
            return Ok(None);
        }
        self.decide(generation, &demands).await
    }

    async fn decide(&self, generation: u64, demands: &[Demand]) -> Result<Option<Quota>, Refusal> {
        let asked = Instant::now();
        for demand in demands.iter().filter(|d| !d.is_shadow()) {
            if let Some(wait) = self.denied.wait(demand, generation, asked) {
                let rule = demand.rule.clone();
                return Err(refused(rule, wait));
            }
        }
        let Ok(verdict) = self.store.check(demands).await else {
            return self.without_store(demands);
        };
        if verdict.generation.is_some_and(|known| known != generation) {
            self.stale.notify_one();
        }
        // From when it was asked: what the answer took must not be waited for twice.
        for (demand, outcome) in demands.iter().zip(&verdict.outcomes) {
            if !outcome.fits && !demand.is_shadow() {
                let until = asked + Duration::from_micros(outcome.wait);
                self.denied.insert(demand, generation, until);
            }
        }
        judge(demands, &verdict)
    }

    fn without_store(&self, demands: &[Demand]) -> Result<Option<Quota>, Refusal> {
        self.without_store.fetch_add(1, Ordering::Relaxed);
        match self.on_failure {
            OnFailure::FailOpen => Ok(None),
            OnFailure::FailClosed => Err(Refusal::Unavailable),
            OnFailure::Local => {
                let gateways = u32::try_from((self.gateways)()).unwrap_or(u32::MAX);
                let demands: Vec<Demand> = demands
                    .iter()
                    .map(|demand| demand.clone().share(gateways))
                    .collect();
                judge(&demands, &self.local.check_now(&demands))
            }
        }
    }
}

/// Once for each limit: it cannot do what it is written for.
fn tell_of_unknown_args(rule: &Rule, asking: &Asking<'_>) {
    if matches!(asking.args, CountedArgs::Unknown)
        && rule.limit.key.counts_args()
        && !rule.counts.args_unknown.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            limit = %rule.limit.name,
            service = asking.service,
            function = asking.function,
            "a limit counts by an arg, but workers translate this function's older versions by code: those calls \
             count by address"
        );
    }
}

fn refused(rule: Arc<Rule>, wait: Duration) -> Refusal {
    rule.counts.refused.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(limit = %rule.limit.name, ?wait, "a call is over its limit");
    Refusal::Limited { rule, wait }
}

/// Admits if all limits do that are not in shadow.
fn judge(demands: &[Demand], verdict: &Verdict) -> Result<Option<Quota>, Refusal> {
    let both = || demands.iter().zip(&verdict.outcomes);
    let over = both().filter(|(d, o)| !o.fits && !d.is_shadow());
    if let Some((demand, outcome)) = over.max_by_key(|(_, outcome)| outcome.wait) {
        let wait = Duration::from_micros(outcome.wait);
        return Err(refused(demand.rule.clone(), wait));
    }
    for (demand, outcome) in both().filter(|(d, _)| d.is_shadow()) {
        if !outcome.fits {
            let rule = &demand.rule;
            rule.counts.shadow.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(limit = %rule.limit.name, "a call is over a limit in shadow and is admitted");
        }
    }
    let left = |(demand, outcome): (&Demand, &store::Outcome)| Quota {
        rule: demand.rule.clone(),
        remaining: u64::from(demand.max).saturating_sub(outcome.used)
            / u64::from(demand.cost.max(1)),
    };
    let shown = both().filter(|(d, _)| !d.is_shadow());
    Ok(shown.map(left).min_by_key(|quota| quota.remaining))
}

impl Refusal {
    /// What the client is told.
    #[must_use]
    pub fn into_error(self, label: &dyn std::fmt::Display) -> CallError {
        let (rule, wait) = match self {
            Self::Limited { rule, wait } => (rule, wait),
            Self::Unavailable => {
                let text = format!(
                    "whether {label} may be called now cannot be said, since the limiter is away; it did not run"
                );
                return CallError::new(ErrorCode::LimiterUnavailable, text);
            }
        };
        let limit = &rule.limit;
        // Rounded up: who comes back then is not too early.
        let ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        let text = format!(
            "{label} is over the limit {:?}, {} in {} ms; it did not run, try again in {ms} ms",
            limit.name, limit.max_requests, limit.window_ms
        );
        CallError::new(ErrorCode::RateLimited, text)
            .with_detail("retry_after_ms", ms.max(1))
            .with_detail("limit", &*limit.name)
            .with_detail("scope", limit.scope())
            .with_detail("max_requests", limit.max_requests)
            .with_detail("window_ms", limit.window_ms)
    }
}
