//! Whether the gateway is alive, ready, draining.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The state that health checks report.
///
/// Ready is a latch: false until the first connection to the broker and the first discovery, then
/// true until the gateway drains, or fails in a way that only a new process mends. A broker lost later degrades health, not readiness: taking all
/// gateways out of the load balancer would only hide the cause.
#[derive(Debug, Default)]
pub struct Health {
    discovered: AtomicBool,
    draining: AtomicBool,
    broker_connected: AtomicBool,
    redis: AtomicU8,
    failed: AtomicBool,
    shards_waiting: AtomicUsize,
    linked: Notify,
    /// Until then calls wait for the first link.
    wait_until: Option<Instant>,
}

const NO_REDIS: u8 = 0;
const REDIS_AWAY: u8 = 1;
const REDIS_THERE: u8 = 2;

/// A shard that has had no connection to the broker yet.
#[derive(Debug)]
pub struct WaitingShard(Arc<Health>);

impl WaitingShard {
    /// It has now.
    pub fn connected(self) {
        self.0.shards_waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.linked.notify_waiters();
    }
}

impl Health {
    /// Of a gateway whose calls wait for its first link, `wait` from now at most.
    #[must_use]
    pub fn waiting(wait: Duration) -> Self {
        Self {
            wait_until: Some(Instant::now() + wait),
            ..Self::default()
        }
    }

    /// One shard more that has to connect before the gateway is ready.
    #[must_use]
    pub fn register_shard(self: &Arc<Self>) -> WaitingShard {
        self.shards_waiting.fetch_add(1, Ordering::AcqRel);
        WaitingShard(self.clone())
    }

    /// The first connection and discovery are done.
    pub fn set_discovered(&self) {
        if !self.discovered.swap(true, Ordering::AcqRel) {
            self.linked.notify_waiters();
        }
    }

    /// Whether every shard has had its connection, and the first discovery is done. A latch, too.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.has_discovered() && self.shards_waiting.load(Ordering::Acquire) == 0
    }

    /// Returns once it is, after `most`, or when calls need not wait any more: what clients ask of a gateway
    /// that has just started is better served late than refused.
    pub async fn wait_linked(&self, most: Option<Duration>) {
        let Some(until) = self.wait_until else {
            return;
        };
        let until = most
            .and_then(|most| Instant::now().checked_add(most))
            .map_or(until, |own| own.min(until));
        let linked = async {
            loop {
                let mut next = pin!(self.linked.notified());
                // From here on a change is not missed.
                next.as_mut().enable();
                if self.is_linked() {
                    return;
                }
                next.await;
            }
        };
        // It is over: the call itself finds out what is missing.
        let _ = timeout_at(until, linked).await;
    }

    /// The gateway shuts down: not ready from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The connection to the broker came or went.
    pub fn set_broker_connected(&self, connected: bool) {
        self.broker_connected.store(connected, Ordering::Release);
    }

    /// Redis came or went; only told where there is one.
    pub fn set_redis_available(&self, available: bool) {
        let state = if available { REDIS_THERE } else { REDIS_AWAY };
        self.redis.store(state, Ordering::Release);
    }

    /// A part without which the gateway is of no use has failed for good: it should be replaced.
    pub fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether such a part has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether Redis is there; `None`: the gateway has none.
    #[must_use]
    pub fn redis_available(&self) -> Option<bool> {
        match self.redis.load(Ordering::Acquire) {
            NO_REDIS => None,
            state => Some(state == REDIS_THERE),
        }
    }

    /// Whether something that the gateway needs is away. It serves what it can, so it stays ready.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        !self.broker_connected() || self.redis_available() == Some(false)
    }

    /// Whether a load balancer should send requests here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_linked() && !self.is_draining() && !self.has_failed()
    }

    /// Whether the first discovery is done.
    #[must_use]
    pub fn has_discovered(&self) -> bool {
        self.discovered.load(Ordering::Acquire)
    }

    /// Whether the gateway is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the broker is connected now.
    #[must_use]
    pub fn broker_connected(&self) -> bool {
        self.broker_connected.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_wait_for_discovery_and_for_every_shard() {
        let health = Arc::new(Health::waiting(Duration::from_secs(5)));
        let shard = health.register_shard();
        let mut waits = tokio::spawn({
            let health = health.clone();
            async move { health.wait_linked(None).await }
        });
        health.set_discovered();
        let early = tokio::time::timeout(Duration::from_secs(1), &mut waits).await;
        assert!(early.is_err() && !health.is_linked());
        shard.connected();
        waits.await.unwrap();
        assert!(health.is_linked());
        // Not again, whatever becomes of the broker.
        health.set_broker_connected(false);
        health.wait_linked(None).await;
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_only_in_the_first_moments_of_a_gateway() {
        let began = Instant::now();
        let health = Health::waiting(Duration::from_secs(5));
        health.wait_linked(Some(Duration::from_secs(3))).await;
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        health.wait_linked(None).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        health.wait_linked(None).await;
        Health::default().wait_linked(None).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[test]
    fn what_has_failed_for_good_is_not_ready_again() {
        let health = Health::default();
        health.set_discovered();
        health.set_broker_connected(true);
        assert!(health.is_ready() && !health.has_failed());
        health.set_failed();
        assert!(!health.is_ready() && health.has_failed());
        health.set_discovered();
        assert!(!health.is_ready());
    }
}
