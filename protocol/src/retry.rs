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
