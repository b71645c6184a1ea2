//! Sticky keys in memory, for one process.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use sluice_protocol::InstanceId;
use tokio::time::Instant;

use super::{StickyStore, StoreUnavailable};

#[derive(Debug)]
struct Entry {
    instance: InstanceId,
    expires: Instant,
}

#[derive(Debug, Default)]
struct Keys {
    // By scope and key, in one text: both sides of the separator are free of it.
    entries: HashMap<String, Entry>,
    next_sweep: Option<Instant>,
}

/// Keys of one process, bounded in number and time.
#[derive(Debug)]
pub struct MemorySticky {
    keys: Mutex<Keys>,
    ttl: Duration,
    max_keys: usize,
}

impl MemorySticky {
    /// A store whose keys last `ttl` after their last use, `max_keys` at most.
    #[must_use]
    pub fn new(ttl: Duration, max_keys: usize) -> Self {
        Self {
            keys: Mutex::default(),
            ttl,
            max_keys: max_keys.max(1),
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.lock().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn join(scope: &str, key: &str) -> String {
    format!("{scope}\n{key}")
}

impl Keys {
    /// Drops what has expired, at most once in a tenth of the time to live; then, if there are
    /// still too many, those that expire first.
    fn make_room(&mut self, now: Instant, ttl: Duration, max_keys: usize) {
        let full = self.entries.len() >= max_keys;
        if !full && self.next_sweep.is_some_and(|at| now < at) {
            return;
        }
        self.next_sweep = Some(now + ttl / 10);
        self.entries.retain(|_, e| e.expires > now);
        if self.entries.len() >= max_keys {
            let mut ages: Vec<Instant> = self.entries.values().map(|e| e.expires).collect();
            // A tenth at once, so that a full table is not swept for each new key.
            let nth = ages.len() / 10;
            let cut = *ages.select_nth_unstable(nth).1;
            self.entries.retain(|_, e| e.expires > cut);
        }
    }
}

impl StickyStore for MemorySticky {
    fn get<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>> {
        let now = Instant::now();
        let mut keys = self.keys.lock();
        let entry = keys
            .entries
            .get_mut(&join(scope, key))
            .filter(|e| e.expires > now);
        let found = entry.map(|e| {
            e.expires = now + self.ttl;
            e.instance.clone()
        });
        Box::pin(ready(Ok(found)))
    }

    fn assign<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
        expected: Option<&'a InstanceId>,
        instance: &'a InstanceId,
    ) -> BoxFuture<'a, Result<InstanceId, StoreUnavailable>> {
        let now = Instant::now();
        let mut keys = self.keys.lock();
        let joined = join(scope, key);
        if let Some(entry) = keys.entries.get(&joined)
            && entry.expires > now
            && Some(&entry.instance) != expected
        {
            return Box::pin(ready(Ok(entry.instance.clone())));
        }
        keys.make_room(now, self.ttl, self.max_keys);
        let entry = Entry {
            instance: instance.clone(),
            expires: now + self.ttl,
        };
        keys.entries.insert(joined, entry);
        Box::pin(ready(Ok(instance.clone())))
    }

    fn look<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>> {
        let keys = self.keys.lock();
        let entry = keys.entries.get(&join(scope, key));
        let entry = entry.filter(|e| e.expires > Instant::now());
        let found = entry.map(|e| e.instance.clone());
        Box::pin(ready(Ok(found)))
    }

    fn forget<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<bool, StoreUnavailable>> {
        let removed = self.keys.lock().entries.remove(&join(scope, key));
        let was_bound = removed.is_some_and(|e| e.expires > Instant::now());
        Box::pin(ready(Ok(was_bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_stays_for_its_time_and_each_use_renews_it() {
        let store = MemorySticky::new(Duration::from_secs(10), 100);
        assert_eq!(store.assign("s.f", "k", None, &id("a")).await, Ok(id("a")));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(store.get("s.f", "k").await, Ok(Some(id("a"))));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(store.get("s.f", "k").await, Ok(Some(id("a"))));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(store.get("s.f", "k").await, Ok(None));
        assert_eq!(store.get("s.g", "k").await, Ok(None));
        assert_eq!(store.forget("s.f", "k").await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn looking_renews_nothing_and_what_is_forgotten_is_free() {
        let store = MemorySticky::new(Duration::from_secs(10), 100);
        store.assign("s.f", "k", None, &id("a")).await.unwrap();
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(store.look("s.f", "k").await, Ok(Some(id("a"))));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(store.look("s.f", "k").await, Ok(None));
        store.assign("s.f", "k", None, &id("a")).await.unwrap();
        assert_eq!(store.forget("s.f", "k").await, Ok(true));
        assert_eq!(store.assign("s.f", "k", None, &id("b")).await, Ok(id("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_assign_wins() {
        let store = MemorySticky::new(Duration::from_secs(10), 100);
        assert_eq!(store.assign("s", "k", None, &id("a")).await, Ok(id("a")));
        assert_eq!(store.assign("s", "k", None, &id("b")).await, Ok(id("a")));
        assert_eq!(
            store.assign("s", "k", Some(&id("a")), &id("b")).await,
            Ok(id("b"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_keys_is_bounded_and_the_oldest_go_first() {
        let store = MemorySticky::new(Duration::from_secs(1000), 100);
        for n in 0..1000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            store
                .assign("s", &n.to_string(), None, &id("a"))
                .await
                .unwrap();
            assert!(store.len() <= 100);
        }
        assert_eq!(store.get("s", "999").await, Ok(Some(id("a"))));
        assert_eq!(store.get("s", "0").await, Ok(None));
    }
}
