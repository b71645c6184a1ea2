//! How often, and where, a call is tried again.

/// The `retry` of a function: extra attempts after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Where the extra attempts go.
    pub mode: RetryMode,
    /// How many, at least 1.
    pub attempts: u32,
}

/// Where extra attempts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryMode {
    /// The instance that was selected first.
    SameNode,
    /// Any instance, another one where there is one; also what a bare number means.
    AllNodes,
}

/// The wait before an extra attempt.
#[must_use]
pub fn backoff(attempt: u32, jitter: f64) -> std::time::Duration {
    let base = 100_u64
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(5000);
    std::time::Duration::from_millis(base).mul_f64(jitter)
}
