//! End-to-end tests: real processes, real NATS, real Redis.
//!
//! This library is the harness; each file under `tests/` is one promise that it keeps.
//!
//! | module | what it gives a test |
//! |---|---|
//! | [`cluster`] | a broker, gateways, workers and Redis of the test's own, in one line |
//! | [`gateway`], [`worker`], [`nats`], [`redis`] | each of them alone, with `restart`, `kill9`, `freeze` |
//! | [`collector`] | a stand-in for what takes OTLP spans |
//! | [`certificates`] | an authority of the test's own, and what it issues |
//! | [`container`] | broker and Redis in containers, where a Docker engine answers |
//! | [`http`] | calls and streams through a gateway's public edge |
//! | [`socket`] | the same over a Phoenix socket, frame by frame |
//! | [`load`] | closed-loop load that accounts for each request it sent |
//! | [`eventually`](mod@eventually) | waiting for a condition, never for a span of time |
//! | [`process`], [`log`] | a child process, its output, its end |
//! | [`vectors`] | test vectors, run against the code itself |
//! | [`ports`], [`binaries`] | free ports that stay ours, and where the programs are |
//!
//! Tests share nothing: each starts its own broker on its own port, so they run in parallel. Whatever
//! a test started is killed when the test drops it. Everything that can fail returns [`Result`], whose
//! error prints the end of the child's log; a test may `unwrap` it or return it.
//!
//! ```no_run
//! use sluice_e2e::{cluster::Cluster, nats::BrokerKind};
//!
//! # async fn example() -> sluice_e2e::Result {
//! let cluster = Cluster::start(BrokerKind::NatsCurrent).gateways(2).workers(3).await?;
//! let args = serde_json::json!({"message": "hi"});
//! let (status, envelope) = cluster.gateway(0).client()?.call("demo", "echo", args).await?;
//! assert!(status == 200 && envelope.success);
//! # Ok(())
//! # }
//! ```

pub mod binaries;
pub mod certificates;
pub mod cluster;
pub mod collector;
pub mod container;
mod error;
pub mod eventually;
pub mod gateway;
pub mod http;
pub mod load;
pub mod log;
pub mod nats;
pub mod ports;
pub mod process;
pub mod redis;
pub mod socket;
pub mod vectors;
pub mod worker;

pub use error::{Error, Result};
pub use eventually::{eventually, eventually_within};

use std::time::Duration;

/// How long anything may take that has to happen: generous, since CI machines are slow and shared.
pub const LIMIT: Duration = Duration::from_secs(60);
