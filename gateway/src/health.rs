//! Whether the gateway is alive, ready, draining.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The state that health checks report.
///
/// Ready is a latch: false until the first connection to the broker and the first discovery, then
/// true until the gateway drains. A broker lost later degrades health, not readiness: taking all
/// gateways out of the load balancer would only hide the cause.
#[derive(Debug, Default)]
pub struct Health {
    discovered: AtomicBool,
    draining: AtomicBool,
    broker_connected: AtomicBool,
    shards_waiting: AtomicUsize,
}

/// A shard that has had no connection to the broker yet.
#[derive(Debug)]
pub struct WaitingShard(Arc<Health>);

impl WaitingShard {
    /// It has now.
    pub fn connected(self) {
        self.0.shards_waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Health {
    /// One shard more that has to connect before the gateway is ready.
    #[must_use]
    pub fn register_shard(self: &Arc<Self>) -> WaitingShard {
        self.shards_waiting.fetch_add(1, Ordering::AcqRel);
        WaitingShard(self.clone())
    }

    /// The first connection and discovery are done.
    pub fn set_discovered(&self) {
        self.discovered.store(true, Ordering::Release);
    }

    /// The gateway shuts down: not ready from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The connection to the broker came or went.
    pub fn set_broker_connected(&self, connected: bool) {
        self.broker_connected.store(connected, Ordering::Release);
    }

    /// Whether a load balancer should send requests here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let waiting = self.shards_waiting.load(Ordering::Acquire);
        self.discovered.load(Ordering::Acquire) && waiting == 0 && !self.is_draining()
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
