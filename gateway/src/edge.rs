//! The edges: clients' bytes become calls, answers become bytes.
//!
//! ```text
//! listener   sockets: accept, serve, drain        capacity   how much at once
//! http       requests: route, read, call, answer  identity   who asks
//! version_source  which version is asked for
//! service    what answers calls: the pipeline, or a script in tests
//! phoenix    sockets, and how they hang on HTTP: sockets
//! ```
//!
//! An edge knows encodings and clients; of functions it knows nothing that it need not.

pub mod capacity;
#[cfg(test)]
mod error_table;
#[cfg(test)]
mod fake;
pub mod http;
pub mod identity;
pub mod listener;
pub mod phoenix;
pub mod service;
pub mod sockets;
mod taken;
pub mod version_source;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::listener::Drained;
pub use self::service::CallService;
pub use self::taken::taken_paths;
use crate::shard::Shard;

/// Serves a shard's clients from `listener` until `drain` is triggered and what is in flight then
/// has ended, at most for `gateway.drain_timeout`.
pub async fn serve(
    listener: std::net::TcpListener,
    shard: Arc<Shard>,
    drain: CancellationToken,
) -> Drained {
    let parts = http::Parts {
        results: shard.results.clone(),
        page: shard.page.clone(),
        health: shard.health.clone(),
        config: shard.config.clone(),
        capacity: shard.capacity.clone(),
        identifier: shard.identifier.clone(),
    };
    let id = shard.id;
    let door = sockets::door(&shard, drain.clone());
    let edge = http::Edge::new(shard, parts).with_sockets(door.clone());
    let drained = listener::run(listener, edge, drain).await;
    door.closed().await;
    match drained {
        Ok(drained) => {
            tracing::info!(
                shard = id,
                open = drained.open,
                cut = drained.cut,
                "stopped serving clients"
            );
            drained
        }
        Err(error) => {
            tracing::error!(shard = id, %error, "cannot serve clients");
            Drained::default()
        }
    }
}
