//! The harness keeps its own promises: without it, a green end-to-end test says little.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod client;
mod load;
mod processes;
mod servers;
mod tiny_gateway;

use std::time::Duration;

/// A limit for what must not happen.
const SHORT: Duration = Duration::from_millis(300);
