//! `[breaker]`

use std::time::Duration;

use super::kind::number::{Count, Millis};
use super::section::section;

section! {
    /// Circuit breakers, one for each function and one for each instance.
    ["breaker"] BreakerOptions {
        /// Failures within the window that open a breaker; 0: it never opens.
        failures: u64 = 10, Count::within(0..=100);
        /// What part of the outcomes since the window's first failure must have failed, too.
        failure_percent: u64 = 50, Count::within(1..=100);
        /// How long failures count, from the first of them.
        window: Duration = Duration::from_secs(10), Millis::within(100..=3_600_000);
        /// How long a breaker stays open before one call may try again.
        open: Duration = Duration::from_secs(5), Millis::within(100..=3_600_000);
    }
}
