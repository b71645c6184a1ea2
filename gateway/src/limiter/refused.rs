//! Callers who are refused all the time: guessing names, tokens or args has a price.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use sluice_protocol::{CallError, ErrorCode};
use tokio::time::Instant;

use super::log::{Log, group};

const WINDOW: Duration = Duration::from_secs(60);
const MAX_ADDRESSES: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

/// Counts refused calls by address, in this process. Shared by all shards.
#[derive(Debug)]
pub struct Refused {
    /// 0: no limit.
    max: u32,
    start: Instant,
    logs: Mutex<LruCache<IpAddr, Log>>,
    /// Addresses that may be over the limit: while there are none, nobody has to look.
    over: AtomicUsize,
}

impl Refused {
    /// Refuses whoever was refused `per_minute` times within a minute; 0: nobody.
    #[must_use]
    pub fn new(per_minute: u64) -> Self {
        Self {
            max: u32::try_from(per_minute).unwrap_or(u32::MAX),
            start: Instant::now(),
            logs: Mutex::new(LruCache::new(MAX_ADDRESSES)),
            over: AtomicUsize::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn window() -> u64 {
        u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX)
    }

    /// Refuses an address that was refused too often.
    ///
    /// # Errors
    /// `rate_limited`, until older refusals are a minute old.
    pub fn check(&self, address: Option<IpAddr>) -> Result<(), CallError> {
        if self.over.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let Some(address) = address.map(one_of) else {
            return Ok(());
        };
        let mut logs = self.logs.lock();
        let Some(log) = logs.peek_mut(&address) else {
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
        let text = format!(
            "too many calls from this address were refused within a minute; it did not run, try again in {ms} ms"
        );
        Err(CallError::new(ErrorCode::RateLimited, text)
            .with_detail("retry_after_ms", ms)
            .with_detail("limit", "refused"))
    }

    /// Counts a refusal, if it is one that a client can help.
    pub fn note(&self, address: Option<IpAddr>, code: ErrorCode) {
        if self.max == 0 || !matches!(code.http_status(), 401..=404 | 422) {
            return;
        }
        // Of a worker's own errors none arrives here with these codes.
        let Some(address) = address.map(one_of) else {
            return;
        };
        let mut logs = self.logs.lock();
        if logs.len() == MAX_ADDRESSES.get()
            && !logs.contains(&address)
            && let Some((_, log)) = logs.pop_lru()
            && log.is_over_limit(self.max)
        {
            self.over.fetch_sub(1, Ordering::Relaxed);
        }
        let log = logs.get_or_insert_mut(address, Log::default);
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

/// An address, or the /64 of one in IPv6.
fn one_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            std::net::Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn address(i: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(i)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_all_the_time_has_to_wait() {
        let refused = Refused::new(3);
        for _ in 0..3 {
            assert!(refused.check(A).is_ok());
            refused.note(A, ErrorCode::UnknownFunction);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let error = refused.check(A).unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        let details = error.details.unwrap();
        assert_eq!(details["retry_after_ms"], 57_000);
        assert!(refused.check(address(1)).is_ok());
        assert!(refused.check(None).is_ok());
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
            refused.note(address, *code);
            let is_over = refused.check(address).is_err();
            assert_eq!(is_over, counts.contains(&code.as_str()), "{code:?}");
        }
        let off = Refused::new(0);
        off.note(A, ErrorCode::UnknownFunction);
        assert!(off.check(A).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_bounded() {
        let refused = Refused::new(1);
        for i in 0..20_000 {
            refused.note(address(i), ErrorCode::UnknownFunction);
        }
        let len = refused.logs.lock().len();
        assert_eq!(len, MAX_ADDRESSES.get());
        assert_eq!(refused.over.load(Ordering::Relaxed), len);
    }
}
