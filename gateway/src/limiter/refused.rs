//! Callers who are refused all the time: guessing names, tokens or args has a price.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Identity};
use tokio::time::Instant;

use super::log::{Log, group};
use crate::pipeline::Caller;

const WINDOW: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;
const CALLERS_A_SHARD: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Whose refusals count together.
///
/// Whoever is verified counts for themselves, so that users behind one address do not spoil it for each
/// other. Everybody else counts by address; a connection, and each channel on it, belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A verified user, or an API key.
    Verified(u64),
    /// An address, or the /64 of one in IPv6.
    Address(IpAddr),
    /// Nobody that could be told apart.
    Unknown,
}

impl From<Option<IpAddr>> for Who {
    fn from(address: Option<IpAddr>) -> Self {
        match address.map(|a| a.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(address)) => Self::Address(address.into()),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64 << 64;
                Self::Address(std::net::Ipv6Addr::from_bits(network).into())
            }
        }
    }
}

/// Counts refused calls by caller, in this process. Shared by all shards of the gateway.
#[derive(Debug)]
pub struct Refused {
    /// 0: no limit.
    max: u32,
    start: Instant,
    shards: [Mutex<LruCache<Who, Log>>; SHARDS],
    /// Callers that may be over the limit: while there are none, nobody has to look.
    over: AtomicUsize,
    /// Nobody outside can choose who shares a shard or a number.
    hasher: RandomState,
}

impl Refused {
    /// Refuses whoever was refused `per_minute` times within a minute; 0: nobody.
    #[must_use]
    pub fn new(per_minute: u64) -> Self {
        Self {
            max: u32::try_from(per_minute).unwrap_or(u32::MAX),
            start: Instant::now(),
            shards: std::array::from_fn(|_| Mutex::new(LruCache::new(CALLERS_A_SHARD))),
            over: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Whose refusals a call's count with.
    #[must_use]
    pub fn who(&self, caller: &Caller, identity: &Identity) -> Who {
        let user = caller.claims.as_ref().and(identity.user_id.as_deref());
        match (&caller.api_key, user) {
            (Some(id), _) => Who::Verified(self.hasher.hash_one(("api_key", &**id))),
            (None, Some(id)) => Who::Verified(self.hasher.hash_one(("user", id))),
            (None, None) => caller.address.into(),
        }
    }

    fn shard(&self, who: &Who) -> &Mutex<LruCache<Who, Log>> {
        // Any bits will do.
        let hash = usize::try_from(self.hasher.hash_one(who) >> 32).unwrap_or_default();
        &self.shards[hash % SHARDS]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn window() -> u64 {
        u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX)
    }

    /// Refuses a caller, or an address, that was refused too often.
    ///
    /// # Errors
    /// `rate_limited`, until older refusals are a minute old.
    pub fn check(&self, who: impl Into<Who>) -> Result<(), CallError> {
        if self.over.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let who = who.into();
        let mut logs = self.shard(&who).lock();
        let Some(log) = logs.peek_mut(&who) else {
            return Ok(());
        };
        let now = self.now();
        let was_over = log.is_over_limit(self.max);
        log.expire(now, Self::window());
        let wait = log.wait(now, Self::window(), 1, self.max);
        if wait == 0 {
            if was_over {
                self.over.fetch_sub(1, Ordering::Relaxed);
            }
            return Ok(());
        }
        let ms = wait.div_ceil(1000);
        let whose = match who {
            Who::Verified(_) => "of this caller",
            Who::Address(_) | Who::Unknown => "from this address",
        };
        let text = format!(
            "too many calls {whose} were refused within a minute; it did not run, try again in {ms} ms"
        );
        Err(CallError::new(ErrorCode::RateLimited, text)
            .with_detail("retry_after_ms", ms)
            .with_detail("limit", "refused"))
    }

    /// Counts a refusal, if it is one that the client could have helped.
    pub fn note(&self, who: impl Into<Who>, error: &CallError) {
        let status = error.code.http_status();
        let is_refusal = error.source == ErrorSource::Client && matches!(status, 401..=404 | 422);
        let who = who.into();
        if self.max == 0 || !is_refusal || who == Who::Unknown {
            return;
        }
        let mut logs = self.shard(&who).lock();
        if logs.len() == CALLERS_A_SHARD.get()
            && !logs.contains(&who)
            && let Some((_, log)) = logs.pop_lru()
            && log.is_over_limit(self.max)
        {
            self.over.fetch_sub(1, Ordering::Relaxed);
        }
        let log = logs.get_or_insert_mut(who, Log::default);
        let was_over = log.is_over_limit(self.max);
        let now = self.now();
        if log.expire(now, Self::window()) < u64::from(self.max) {
            log.admit(now, 1, group(self.max));
        }
        match (was_over, log.is_over_limit(self.max)) {
            (false, true) => self.over.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.over.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn unknown() -> CallError {
        CallError::new(ErrorCode::UnknownFunction, "x")
    }

    fn address(i: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(i)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_all_the_time_has_to_wait() {
        let refused = Refused::new(3);
        for _ in 0..3 {
            assert!(refused.check(A).is_ok());
            refused.note(A, &unknown());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let error = refused.check(A).unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        let details = error.details.unwrap();
        assert_eq!(details["retry_after_ms"], 57_000);
        assert!(refused.check(address(1)).is_ok());
        assert!(refused.check(Who::Unknown).is_ok());
        tokio::time::advance(Duration::from_secs(57)).await;
        assert!(refused.check(A).is_ok());
        assert_eq!(refused.over.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_refusals_that_a_client_can_help_count() {
        let refused = Refused::new(1);
        for code in ErrorCode::ALL {
            let counts = [
                "unauthenticated",
                "permission_denied",
                "hook_rejected",
                "unknown_function",
                "unknown_version",
                "invalid_arguments",
                "idempotency_conflict",
            ];
            let address = address(*code as u32);
            refused.note(address, &CallError::new(*code, "x"));
            let is_over = refused.check(address).is_err();
            assert_eq!(is_over, counts.contains(&code.as_str()), "{code:?}");
        }
        let worker = unknown().with_source(ErrorSource::Worker);
        refused.note(A, &worker);
        assert!(refused.check(A).is_ok());
        let off = Refused::new(0);
        off.note(A, &unknown());
        assert!(off.check(A).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_bounded() {
        let refused = Refused::new(1);
        for i in 0..100_000 {
            refused.note(address(i), &unknown());
        }
        let len: usize = refused.shards.iter().map(|s| s.lock().len()).sum();
        assert_eq!(len, SHARDS * CALLERS_A_SHARD.get(), "all are in use");
        assert_eq!(refused.over.load(Ordering::Relaxed), len);
    }

    #[tokio::test(start_paused = true)]
    async fn verified_callers_behind_one_address_do_not_spoil_it_for_each_other() {
        let refused = Refused::new(3);
        let of = |user: &str, key: Option<&str>, claims: bool| {
            let caller = Caller {
                address: A,
                api_key: key.map(Into::into),
                claims: claims.then(Default::default),
                ..Caller::default()
            };
            let identity = Identity {
                user_id: Some(user.to_owned()),
                ..Identity::default()
            };
            refused.who(&caller, &identity)
        };
        let (ann, bob, key) = (
            of("ann", None, true),
            of("bob", None, true),
            of("ann", Some("ann"), false),
        );
        for _ in 0..3 {
            refused.note(ann, &unknown());
        }
        let error = refused.check(ann).unwrap_err();
        assert!(error.message.contains("of this caller"), "{error:?}");
        for other in [bob, key, A.into()] {
            assert!(refused.check(other).is_ok(), "{other:?}");
        }
        // Who is only said to be ann is whoever calls from there.
        assert_eq!(of("ann", None, false), A.into());
        for _ in 0..3 {
            refused.note(A, &unknown());
        }
        assert!(refused.check(of("carol", None, false)).is_err());
        assert!(refused.check(bob).is_ok());
    }

    #[test]
    fn threads_agree_on_who_is_over() {
        let refused = Refused::new(100);
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let refused = &refused;
                scope.spawn(move || {
                    for i in 0..1000 {
                        refused.note(address(i % 16 * 8 + thread), &unknown());
                        refused.note(A, &unknown());
                        let _ = refused.check(address(i % 16 * 8 + thread));
                    }
                });
            }
        });
        // 62 or 63 each, and 8000 from one.
        assert_eq!(refused.over.load(Ordering::Relaxed), 1);
        assert!(refused.check(A).is_err() && refused.check(address(0)).is_ok());
    }
}
