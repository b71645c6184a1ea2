//! Wires the parts from the configuration and owns their tasks, from start to the last flush.

mod descriptors;
mod dev;
mod embedded;
mod limits;
mod serve;
mod shards;
mod steering;

use std::net::SocketAddr;
use std::sync::Arc;

pub use self::dev::DevOptions;
pub use self::embedded::{Gateway, GatewayBuilder};
pub use self::serve::AppError;
use crate::config::Config;
use crate::telemetry::levels::Levels;

/// Runs a gateway until SIGTERM or SIGINT, then drains it. `announce` gets the lines that tell
/// where it listens; `levels` are those of the log, if this process has set one up.
///
/// # Errors
/// When it cannot start.
pub fn run_serve(
    config: Config,
    levels: Option<Arc<Levels>>,
    announce: impl Fn(&str),
) -> Result<(), AppError> {
    // Shards have threads of their own; what is left is small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve::run(config, levels, announce))
}

/// Runs broker, gateway and demo worker in one process until SIGTERM or SIGINT.
///
/// # Errors
/// When a part cannot start.
pub fn run_dev(
    options: DevOptions,
    levels: Option<Arc<Levels>>,
    announce: impl Fn(&str),
) -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dev::run(options, levels, announce))
}

/// Runs the embedded broker alone until SIGTERM or SIGINT.
///
/// # Errors
/// When its port cannot be bound.
pub fn run_broker(address: SocketAddr, announce: impl Fn(&str)) -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dev::run_broker(address, announce))
}
