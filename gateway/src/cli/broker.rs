//! `sluice broker`: the embedded broker alone.

use std::net::SocketAddr;

use super::{Exit, Failure, announce, logging};
use crate::app;
use crate::config::Log;

/// Arguments of `sluice broker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens. Port 0 takes a free one; the line `nats listening on nats://ADDR` on
    /// standard output says which.
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    nats: SocketAddr,
    /// Levels of the log, as `log.filter` of the configuration.
    #[arg(
        long,
        value_name = "FILTER",
        env = "SLUICE_LOG_FILTER",
        hide_env_values = true,
        default_value = "info,async_nats=warn"
    )]
    log: String,
}

/// Runs until it is told to stop.
pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    logging::start(&Log {
        filter: args.log.clone(),
        json: false,
    })?;
    app::run_broker(args.nats, announce).map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(Exit::Ok)
}
