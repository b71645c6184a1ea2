//! `[dispatch]`

use std::time::Duration;

use super::kind::number::{Bytes, Count, Millis};
use super::section::section;

section! {
    /// How calls reach workers.
    ["dispatch"] DispatchOptions {
        /// How long a sticky key stays with its instance after its last use.
        sticky_ttl: Duration = Duration::from_secs(3600), Millis::within(1..=30 * 24 * 3_600_000);
        /// Most sticky keys.
        sticky_max_keys: usize = 100_000, Count::within(1..=100_000_000);
        /// Items that a stream may be ahead of its client. What is on its way between worker and
        /// client has to fit, or a fast worker waits for every message's arrival.
        stream_items: u64 = 1024, Count::within(1..=1_000_000);
        /// Bytes that a stream may be ahead of its client.
        stream_bytes: u64 = 1 << 20, Bytes::within(1024..=1 << 30);
        /// A stream whose client takes nothing for so long ends, and its worker is free again.
        stream_stall: Duration = Duration::from_secs(60), Millis::within(100..=86_400_000);
    }
}
