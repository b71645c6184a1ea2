//! How many calls and connections a gateway takes at once: one count for all its shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_protocol::{CallError, ErrorCode};
use tokio::sync::Semaphore;

use crate::config::Config;

/// What is left of `gateway.max_in_flight` and `http.max_connections`.
#[derive(Debug)]
pub struct Capacity {
    in_flight: AtomicUsize,
    max_in_flight: usize,
    /// One permit a connection; who finds none waits to be accepted.
    pub connections: Arc<Semaphore>,
    max_connections: usize,
}

/// The right to one call; dropped when the call has its final answer.
#[derive(Debug)]
pub struct Permit(Arc<Capacity>);

impl Capacity {
    /// All of it.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let connections = config.http.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            in_flight: AtomicUsize::new(0),
            max_in_flight: config.gateway.max_in_flight,
            connections: Arc::new(Semaphore::new(connections)),
            max_connections: connections,
        }
    }

    /// Takes one call in.
    ///
    /// # Errors
    /// `overloaded` when there are as many as may be.
    pub fn enter(self: &Arc<Self>) -> Result<Permit, CallError> {
        // The guard exists before the check, so that a refusal gives back what it took.
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.clone());
        if before < self.max_in_flight {
            return Ok(permit);
        }
        Err(CallError::new(
            ErrorCode::Overloaded,
            "the gateway has as many calls in flight as it takes; the call did not run: try again later",
        ))
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        let free = self.connections.available_permits();
        self.max_connections.saturating_sub(free)
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_give_back_what_they_took() {
        let mut config = Config::default();
        config.gateway.max_in_flight = 2;
        let capacity = Arc::new(Capacity::new(&config));
        let (first, _second) = (capacity.enter().unwrap(), capacity.enter().unwrap());
        for _ in 0..3 {
            assert_eq!(capacity.enter().unwrap_err().code, ErrorCode::Overloaded);
        }
        assert_eq!(capacity.in_flight(), 2);
        drop(first);
        assert!(capacity.enter().is_ok());
    }
}
