//! When silence means death, and the brakes on that.
//!
//! An instance that was not heard of for an expiry period is gone, but never because *we* did not
//! listen: not while the broker is disconnected, not within one period after it came back or
//! after this process was stalled. And never more than half of a function's instances go at once:
//! if many fall silent together, the fault is more likely on the way than in all of them.

use std::collections::HashMap;
use std::time::Duration;

use sluice_protocol::ServiceName;
use tokio::time::Instant;

use super::configs::FunctionId;

/// A gap between two ticks from which on the process counts as stalled, at most.
const STALL: Duration = Duration::from_secs(2);
/// ... and at least, however short the expiry period: ticks themselves are half a second apart.
const SHORTEST_STALL: Duration = Duration::from_millis(1100);

/// How many instances of a function may still go in the current window.
#[derive(Debug)]
struct Window {
    since: Instant,
    left: usize,
}

/// The state of the brakes.
#[derive(Debug)]
pub(super) struct Brakes {
    expiry: Duration,
    connected: bool,
    /// Silence counts from here on at the earliest.
    grace_from: Instant,
    last_tick: Option<Instant>,
    windows: HashMap<(ServiceName, FunctionId), Window>,
}

impl Brakes {
    pub(super) fn new(expiry: Duration, now: Instant) -> Self {
        Self {
            expiry,
            connected: false,
            grace_from: now,
            last_tick: None,
            windows: HashMap::new(),
        }
    }

    /// The connection came or went; a new one in place of an old one counts as coming.
    pub(super) fn set_connected(&mut self, connected: bool, now: Instant) {
        if connected {
            self.grace_from = now;
        }
        self.connected = connected;
    }

    /// Looks at the clock; returns the time since the last look if that was a stall.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Duration> {
        let gap = self.last_tick.map(|last| now.duration_since(last));
        self.last_tick = Some(now);
        let window = self.expiry / 3;
        self.windows
            .retain(|_, w| now.duration_since(w.since) < window);
        let stalled = gap.filter(|gap| *gap >= (self.expiry / 3).clamp(SHORTEST_STALL, STALL));
        if stalled.is_some() {
            self.grace_from = now;
        }
        stalled
    }

    /// Whether an instance has been silent for too long.
    pub(super) fn overdue(&self, last_seen: Instant, now: Instant) -> bool {
        self.connected && now.duration_since(last_seen.max(self.grace_from)) >= self.expiry
    }

    /// Whether one more instance that serves `functions` may go now. `alive` says how many
    /// instances take calls of a function, counted before any of this tick went.
    ///
    /// Of each function, half of the instances, rounded up, may go in one heartbeat interval
    /// (a third of the expiry period).
    pub(super) fn permit<'a>(
        &mut self,
        service: &ServiceName,
        functions: impl Iterator<Item = FunctionId> + Clone + 'a,
        alive: impl Fn(&FunctionId) -> usize,
        now: Instant,
    ) -> bool {
        for id in functions.clone() {
            let left = alive(&id).div_ceil(2);
            self.windows
                .entry((service.clone(), id))
                .or_insert(Window { since: now, left });
        }
        let key = |id: FunctionId| (service.clone(), id);
        let free = functions
            .clone()
            .all(|id| self.windows.get(&key(id)).is_some_and(|w| w.left > 0));
        if free {
            for id in functions {
                if let Some(window) = self.windows.get_mut(&key(id)) {
                    window.left -= 1;
                }
            }
        }
        free
    }
}
