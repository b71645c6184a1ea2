//! Limits within one process.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::key::Digest;
use super::log::Log;
use super::store::{Changes, Demand, Outcome, Store, Unavailable, Verdict};

/// Which log: the limit by name, its epoch, and the key.
type Id = (std::sync::Arc<str>, u64, Digest);

/// Logs in memory; those that were not used for longest go first when there are too many.
#[derive(Debug)]
pub(super) struct MemoryStore {
    start: Instant,
    logs: Mutex<LruCache<Id, (Log, u64)>>,
    changes: Mutex<(u64, BTreeMap<String, String>)>,
}

impl MemoryStore {
    pub(super) fn new(max_keys: usize) -> Self {
        let max_keys = NonZeroUsize::new(max_keys).unwrap_or(NonZeroUsize::MIN);
        Self {
            start: Instant::now(),
            logs: Mutex::new(LruCache::new(max_keys)),
            changes: Mutex::default(),
        }
    }

    /// Forgets all that was used.
    pub(super) fn clear(&self) {
        self.logs.lock().clear();
    }

    /// Checks all demands of one call, on this process' clock.
    pub(super) fn check_now(&self, demands: &[Demand]) -> Verdict {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let verdict = check_at(&mut self.logs.lock(), demands, now);
        Verdict {
            generation: Some(self.changes.lock().0),
            ..verdict
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.logs.lock().len()
    }
}

fn id(demand: &Demand) -> Id {
    (
        demand.rule.limit.name.clone(),
        demand.rule.epoch,
        demand.digest,
    )
}

fn check_at(logs: &mut LruCache<Id, (Log, u64)>, demands: &[Demand], now: u64) -> Verdict {
    let mut outcomes = Vec::with_capacity(demands.len());
    let mut admitted = true;
    for demand in demands {
        let (window, mut used, mut wait) = (demand.window(), 0, demand.window());
        if let Some((log, _)) = logs.get_mut(&id(demand)) {
            used = log.expire(now, window);
            wait = log.wait(now, window, demand.cost, demand.max);
        } else if demand.cost <= demand.max {
            wait = 0;
        }
        let fits = used + u64::from(demand.cost) <= u64::from(demand.max);
        admitted &= fits || demand.is_shadow();
        outcomes.push(Outcome { fits, used, wait });
    }
    for (demand, outcome) in demands.iter().zip(&mut outcomes) {
        if admitted && outcome.fits && demand.cost > 0 {
            // What is over goes before what still counts.
            if logs.len() == logs.cap().get() {
                drop_oldest_if_over(logs, now);
            }
            let window = demand.window();
            let (log, kept_for) = logs.get_or_insert_mut(id(demand), || (Log::default(), window));
            *kept_for = window;
            log.admit(now, demand.cost, demand.group());
            outcome.used += u64::from(demand.cost);
        }
    }
    Verdict {
        generation: None,
        now,
        outcomes,
    }
}

fn drop_oldest_if_over(logs: &mut LruCache<Id, (Log, u64)>, now: u64) {
    while logs
        .peek_lru()
        .is_some_and(|(_, (log, window))| log.is_over(now, *window))
    {
        logs.pop_lru();
    }
}

impl Store for MemoryStore {
    fn check<'a>(&'a self, demands: &'a [Demand]) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        ready(Ok(self.check_now(demands))).boxed()
    }

    fn reset<'a>(&'a self, demand: &'a Demand) -> BoxFuture<'a, Result<(), Unavailable>> {
        self.logs.lock().pop(&id(demand));
        self.changes.lock().0 += 1;
        ready(Ok(())).boxed()
    }

    fn changes(&self) -> BoxFuture<'_, Result<Changes, Unavailable>> {
        let changes = self.changes.lock();
        let texts = changes.1.clone().into_iter().collect();
        let generation = changes.0;
        ready(Ok(Changes { generation, texts })).boxed()
    }

    fn change<'a>(
        &'a self,
        name: &'a str,
        seen: &'a str,
        text: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let mut changes = self.changes.lock();
        let is_same = changes.1.get(name).map_or("", String::as_str) == seen;
        if is_same {
            match text {
                "" => changes.1.remove(name),
                text => changes.1.insert(name.to_owned(), text.to_owned()),
            };
            changes.0 += 1;
        }
        ready(Ok(is_same)).boxed()
    }
}
