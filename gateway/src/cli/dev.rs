//! `sluice dev`: everything in one process.

use std::net::SocketAddr;

use super::{Exit, Failure, Terminal, announce, logging};
use crate::admin::access::OperatorToken;
use crate::app::{self, DevOptions};
use crate::config::{self, Environment, Log};

/// Arguments of `sluice dev`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where clients connect.
    #[arg(long, value_name = "ADDR", value_parser = super::address, default_value = "127.0.0.1:4000")]
    http: SocketAddr,
    /// Where operators connect.
    #[arg(long, value_name = "ADDR", value_parser = super::address, default_value = "127.0.0.1:4001")]
    admin: SocketAddr,
    /// Where the embedded broker listens for workers.
    #[arg(long, value_name = "ADDR", value_parser = super::address, default_value = "127.0.0.1:4222")]
    nats: SocketAddr,
    /// Start no demo worker.
    #[arg(long)]
    no_demo: bool,
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

impl Args {
    pub(super) fn options(&self, operators: Vec<OperatorToken>) -> DevOptions {
        DevOptions {
            operators,
            http: self.http,
            admin: self.admin,
            nats: self.nats,
            demo: !self.no_demo,
        }
    }
}

/// Runs until it is told to stop.
pub(super) fn run(
    args: Args,
    env: &Environment,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let operators = match config::operators(env) {
        Ok(operators) => operators,
        Err(invalid) => {
            super::check::report(&invalid, terminal)?;
            return Ok(Exit::Usage);
        }
    };
    let options = args.options(operators);
    let levels = logging::start(&Log {
        filter: args.log,
        json: false,
    })?;
    app::run_dev(options, levels, announce).map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(Exit::Ok)
}
