//! `[gateway]`

use std::time::Duration;

use super::kind::number::{Count, Flag, Millis};
use super::kind::text::Text;
use super::section::section;

/// A day: longer waits are surely a mistake of the unit.
const DAY_MS: u64 = 24 * 3600 * 1000;

section! {
    /// The process.
    ["gateway"] Gateway {
        /// Name among all gateways; empty: made at start.
        id: String = String::new(), Text {
            what: "text of at most 128 bytes",
            check: |id| match id {
                "" => Ok(()),
                id => sluice_protocol::id::check("a gateway's id", id).map_err(|e| e.to_string()),
            },
        };
        /// Threads that serve clients; 0: one for each core.
        shards: usize = 0, Count::within(0..=1024);
        /// Most calls at once; more are refused as `overloaded`.
        max_in_flight: usize = 20_000, Count::within(1..=10_000_000);
        /// From the start for so long, calls wait for the first connection to the broker and the first
        /// discovery; after it, and with 0 at once, they fail with `broker_unavailable`.
        start_wait: Duration = Duration::from_secs(5), Millis::within(0..=60_000);
        /// Time between "not ready" and "no new connections" at shutdown.
        drain_delay: Duration = Duration::from_secs(2), Millis::within(0..=3_600_000);
        /// Time for calls in flight to end at shutdown.
        drain_timeout: Duration = Duration::from_secs(30), Millis::within(0..=3_600_000);
        /// Whether errors may tell strangers more than they need: so far, the function that an unknown
        /// name was probably meant to be. For development.
        detail_error: bool = false, Flag;
        /// The longest timeout of a call, and what `"infinity"` means.
        max_timeout: Duration = Duration::from_secs(300), Millis::within(100..=DAY_MS);
        /// The longest duration of a stream.
        max_stream_duration: Duration = Duration::from_secs(3600), Millis::within(100..=7 * DAY_MS);
    }
}
