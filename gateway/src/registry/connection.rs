//! Whether the broker is connected, as the registry and dispatch see it.

/// The state of one connection to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrokerState {
    /// Whether it is up now.
    pub connected: bool,
    /// How often it came up: another number means that messages may have been lost between.
    pub epoch: u64,
}
