//! Keys that are over their limit, so that refusing them again costs no trip to the store.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::key::Digest;
use super::store::Demand;

const SHARDS: usize = 16;
const KEYS_A_SHARD: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

type Id = (Arc<str>, Digest);

#[derive(Debug, Clone, Copy)]
struct Entry {
    generation: u64,
    cost: u32,
    until: Instant,
}

/// A bounded memory of refusals. What it forgets is asked of the store again.
#[derive(Debug)]
pub(super) struct Denied {
    shards: [Mutex<LruCache<Id, Entry>>; SHARDS],
    /// Entries in all; 0 spares the locks.
    entries: AtomicUsize,
}

impl Denied {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(LruCache::new(KEYS_A_SHARD))),
            entries: AtomicUsize::new(0),
        }
    }

    /// Whether nobody is over a limit, as far as is known: costs one load.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Relaxed) == 0
    }

    fn shard(&self, digest: &Digest) -> &Mutex<LruCache<Id, Entry>> {
        &self.shards[usize::from(digest[0]) % SHARDS]
    }

    /// Refuses a key until `until`, under the rules of `generation`.
    pub(super) fn insert(&self, demand: &Demand, generation: u64, until: Instant) {
        let entry = Entry {
            generation,
            cost: demand.cost,
            until,
        };
        let id = (demand.rule.limit.name.clone(), demand.digest);
        let mut shard = self.shard(&demand.digest).lock();
        let before = shard.len();
        shard.put(id, entry);
        self.entries
            .fetch_add(shard.len() - before, Ordering::Relaxed);
    }

    /// How long the key is refused still; `None`: the store has to say.
    pub(super) fn wait(&self, demand: &Demand, generation: u64, now: Instant) -> Option<Duration> {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let id = (demand.rule.limit.name.clone(), demand.digest);
        let mut shard = self.shard(&demand.digest).lock();
        let entry = *shard.get(&id)?;
        let wait = entry.until.saturating_duration_since(now);
        if entry.generation != generation || wait.is_zero() {
            shard.pop(&id);
            self.entries.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // A cheaper call might still fit.
        (demand.cost >= entry.cost).then_some(wait)
    }

    /// Forgets all: the rules or what was used have changed.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.entries.fetch_sub(shard.len(), Ordering::Relaxed);
            shard.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::testing::demand;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_until_then_for_its_generation_and_cost() {
        let denied = Denied::new();
        let now = Instant::now();
        let mut two = demand("a", 1, 5, 1000);
        two.cost = 2;
        assert_eq!(denied.wait(&two, 1, now), None);
        denied.insert(&two, 1, now + Duration::from_millis(500));
        assert_eq!(denied.wait(&two, 1, now), Some(Duration::from_millis(500)));
        // Another key, another limit, a cheaper call.
        assert_eq!(denied.wait(&demand("a", 2, 5, 1000), 1, now), None);
        assert_eq!(denied.wait(&demand("b", 1, 5, 1000), 1, now), None);
        assert_eq!(denied.wait(&demand("a", 1, 5, 1000), 1, now), None);
        assert!(denied.wait(&two, 1, now).is_some());
        assert_eq!(denied.wait(&two, 2, now), None);
        // Forgotten by the rule's change.
        assert_eq!(denied.wait(&two, 1, now), None);
        denied.insert(&two, 2, now + Duration::from_millis(500));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(denied.wait(&two, 2, Instant::now()), None);
        denied.insert(&two, 2, Instant::now() + Duration::from_millis(500));
        denied.clear();
        assert_eq!(denied.wait(&two, 2, Instant::now()), None);
        assert_eq!(denied.entries.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_bounded() {
        let denied = Denied::new();
        let until = Instant::now() + Duration::from_secs(1);
        for key in 0..100_000_u32 {
            denied.insert(&demand("a", key, 1, 1000), 1, until);
        }
        let kept: usize = denied.shards.iter().map(|s| s.lock().len()).sum();
        assert!(kept <= SHARDS * KEYS_A_SHARD.get());
        assert_eq!(denied.entries.load(Ordering::Relaxed), kept);
    }
}
