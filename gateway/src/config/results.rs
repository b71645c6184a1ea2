//! `[results]`

use std::time::Duration;

use super::kind::number::{Count, Millis};
use super::section::section;

section! {
    /// Results of async calls.
    ["results"] ResultOptions {
        /// How long a result is kept.
        ttl: Duration = Duration::from_secs(600), Millis::within(1000..=30 * 24 * 3_600_000);
        /// Most results.
        max_records: usize = 100_000, Count::within(1..=100_000_000);
    }
}
