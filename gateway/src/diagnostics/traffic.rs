//! What a gateway has served, and whom it spares: for `sluice stats` and `sluice top`.

use serde::Serialize;

use super::Diagnostics;
use crate::dispatch::guards::BreakerStatus;
use crate::telemetry::stats::Stats;

/// The traffic of one gateway.
#[derive(Debug, Serialize)]
pub struct Traffic {
    /// What it has counted.
    #[serde(flatten)]
    pub stats: Stats,
    /// Breakers that have anything to say.
    pub breakers: Vec<BreakerStatus>,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
}

impl Diagnostics {
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            stats: self.parts.telemetry.stats(),
            breakers: self.breakers.list(),
            uptime_ms: self.uptime_ms(),
        }
    }

    pub(super) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
