//! Answers by key in memory, for one process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Claim, Claimed, OnceStore, StoreError};
use crate::config::IdempotencyOptions;

/// Most bytes of all answers together; the oldest go first.
const MAX_BYTES: usize = 256 << 20;

/// Keys of one process, bounded in number, bytes and time; lost when it ends.
#[derive(Debug)]
pub struct MemoryOnce {
    ttl: Duration,
    max_records: usize,
    max_bytes: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<String, Entry>,
    /// Answered keys, oldest first, and when they go.
    answered: VecDeque<(Instant, String)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: String,
    token: String,
    lease: Instant,
    answer: Option<Bytes>,
}

impl MemoryOnce {
    /// A store without keys.
    #[must_use]
    pub fn new(options: &IdempotencyOptions) -> Self {
        Self {
            ttl: options.ttl,
            max_records: options.max_records,
            max_bytes: MAX_BYTES,
            table: Mutex::default(),
        }
    }

    fn claim_now(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let now = Instant::now();
        let mut table = self.table.lock();
        table.expire(now);
        if let Some(entry) = table.entries.get_mut(&claim.key) {
            if entry.fingerprint != claim.fingerprint {
                return Ok(Claimed::Conflict);
            }
            if let Some(answer) = &entry.answer {
                return Ok(Claimed::Answered(answer.clone()));
            }
            if entry.token == claim.token {
                return Ok(Claimed::Run);
            }
            if now < entry.lease {
                return Ok(Claimed::InFlight);
            }
            if !claim.may_repeat {
                return Ok(Claimed::Lost);
            }
            entry.token.clone_from(&claim.token);
            entry.lease = now + claim.lease;
            return Ok(Claimed::Run);
        }
        while table.entries.len() >= self.max_records {
            // Who runs is not forgotten: it would run twice.
            if !table.drop_oldest() {
                return Err(StoreError::Full);
            }
        }
        let entry = Entry {
            fingerprint: claim.fingerprint.clone(),
            token: claim.token.clone(),
            lease: now + claim.lease,
            answer: None,
        };
        table.entries.insert(claim.key.clone(), entry);
        Ok(Claimed::Run)
    }

    fn finish_now(&self, claim: &Claim, answer: Option<Bytes>) {
        let mut table = self.table.lock();
        let Some(entry) = table.entries.get_mut(&claim.key) else {
            return;
        };
        if entry.token != claim.token || entry.answer.is_some() {
            return;
        }
        let Some(answer) = answer else {
            table.entries.remove(&claim.key);
            return;
        };
        let bytes = answer.len();
        entry.answer = Some(answer);
        table.bytes += bytes;
        let expires = Instant::now() + self.ttl;
        table.answered.push_back((expires, claim.key.clone()));
        while table.bytes > self.max_bytes && table.drop_oldest() {}
    }
}

impl Table {
    fn expire(&mut self, now: Instant) {
        while self.answered.front().is_some_and(|(at, _)| *at <= now) {
            self.drop_oldest();
        }
    }

    /// Drops the oldest answer; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.answered.pop_front() else {
            return false;
        };
        if let Some(answer) = self.entries.remove(&key).and_then(|e| e.answer) {
            self.bytes -= answer.len();
        }
        true
    }
}

impl OnceStore for MemoryOnce {
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(ready(self.claim_now(claim)))
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: Option<Bytes>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.finish_now(claim, answer);
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn store(max_records: usize) -> MemoryOnce {
        MemoryOnce::new(&IdempotencyOptions {
            ttl: Duration::from_secs(60),
            max_records,
            ..IdempotencyOptions::default()
        })
    }

    fn claim(key: &str, token: &str) -> Claim {
        Claim {
            key: key.to_owned(),
            fingerprint: "f".to_owned(),
            token: token.to_owned(),
            lease: Duration::from_secs(5),
            may_repeat: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_runs_and_the_others_get_its_answer_for_a_time() {
        let store = store(10);
        let (first, second) = (claim("k", "1"), claim("k", "2"));
        assert_eq!(store.claim(&first).await, Ok(Claimed::Run));
        assert_eq!(store.claim(&first).await, Ok(Claimed::Run));
        assert_eq!(store.claim(&second).await, Ok(Claimed::InFlight));
        let other = Claim {
            fingerprint: "g".to_owned(),
            ..second.clone()
        };
        assert_eq!(store.claim(&other).await, Ok(Claimed::Conflict));
        // Not the second's to finish.
        store.finish(&second, None).await.unwrap();
        let answer = Bytes::from_static(b"a");
        store.finish(&first, Some(answer.clone())).await.unwrap();
        assert_eq!(store.claim(&second).await, Ok(Claimed::Answered(answer)));
        assert_eq!(store.claim(&other).await, Ok(Claimed::Conflict));
        advance(Duration::from_secs(60)).await;
        assert_eq!(store.claim(&other).await, Ok(Claimed::Run));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_forgotten_is_free_and_one_that_is_lost_is_not() {
        let store = store(10);
        let (first, second) = (claim("k", "1"), claim("k", "2"));
        store.claim(&first).await.unwrap();
        store.finish(&first, None).await.unwrap();
        assert_eq!(store.claim(&second).await, Ok(Claimed::Run));
        advance(Duration::from_secs(5)).await;
        assert_eq!(store.claim(&first).await, Ok(Claimed::Lost));
        let idempotent = Claim {
            may_repeat: true,
            ..first
        };
        assert_eq!(store.claim(&idempotent).await, Ok(Claimed::Run));
        assert_eq!(store.claim(&second).await, Ok(Claimed::InFlight));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_make_room_and_calls_in_flight_do_not() {
        let store = store(2);
        for key in ["a", "b"] {
            let claim = claim(key, "1");
            store.claim(&claim).await.unwrap();
            store.finish(&claim, Some(Bytes::new())).await.unwrap();
        }
        assert_eq!(store.claim(&claim("c", "1")).await, Ok(Claimed::Run));
        let kept = store.claim(&claim("b", "2")).await;
        assert_eq!(kept, Ok(Claimed::Answered(Bytes::new())));
        assert_eq!(store.claim(&claim("d", "1")).await, Ok(Claimed::Run));
        assert_eq!(store.claim(&claim("e", "1")).await, Err(StoreError::Full));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bytes_of_all_answers_are_bounded() {
        let mut store = store(100);
        store.max_bytes = 10;
        for key in ["a", "b", "c"] {
            let claim = claim(key, "1");
            store.claim(&claim).await.unwrap();
            let answer = Bytes::from_static(&[0; 5]);
            store.finish(&claim, Some(answer)).await.unwrap();
            assert!(store.table.lock().bytes <= 10);
        }
        assert_eq!(store.claim(&claim("a", "2")).await, Ok(Claimed::Run));
    }
}
