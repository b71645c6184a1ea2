//! `sluice serve`: runs a gateway.

use std::path::PathBuf;

use super::{Exit, Failure, Terminal, announce, check, logging};
use crate::app;
use crate::config::{Config, Environment, Loaded};

/// Arguments of `sluice serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The TOML file; without it the environment alone configures the gateway.
    #[arg(
        long,
        value_name = "FILE",
        env = "SLUICE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
}

/// Runs a gateway until it is told to stop.
pub(super) fn run(
    args: &Args,
    env: &Environment,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let Loaded { config, warnings } = match Config::load(args.config.as_deref(), env) {
        Ok(loaded) => loaded,
        Err(invalid) => {
            check::report(&invalid, terminal)?;
            return Ok(Exit::Usage);
        }
    };
    let levels = logging::start(&config.log)?;
    for warning in warnings {
        let option = Some(&*warning.option).filter(|option| !option.is_empty());
        tracing::warn!(
            origin = %warning.origin,
            option,
            reason = %warning.message,
            "the configuration may not mean what it says"
        );
    }
    app::run_serve(config, levels, announce).map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(Exit::Ok)
}
