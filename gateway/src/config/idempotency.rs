//! `[idempotency]`

use std::time::Duration;

use super::kind::number::{Bytes, Count, Millis};
use super::section::section;

section! {
    /// Answers that are kept by the client's idempotency key: a repeated request gets the same
    /// answer and does not run again.
    ["idempotency"] IdempotencyOptions {
        /// How long an answer is kept.
        ttl: Duration = Duration::from_secs(24 * 3600), Millis::within(1000..=30 * 24 * 3_600_000);
        /// Most keys in memory; without `redis.url`. The oldest answers go first.
        max_records: usize = 100_000, Count::within(1..=100_000_000);
        /// Largest answer that is kept. A repeated request whose answer was larger is refused and
        /// told so.
        max_answer_bytes: usize = 256 << 10, Bytes::within(1024..=64 << 20);
    }
}
