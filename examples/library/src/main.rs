//! The library as a process of its own.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// A worker with books and loans.
#[derive(Debug, Parser)]
struct Options {
    /// The broker; several of one cluster are joined by commas.
    #[arg(long, env = sluice_worker::NATS_URL_ENV, default_value = sluice_worker::DEFAULT_NATS_URL)]
    nats: String,
    /// The instance id, another one for each process; default: random.
    #[arg(long)]
    instance: Option<String>,
    /// Responses of resources tell the decisions that led to them.
    #[arg(long)]
    trace: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let worker = match sluice_library::worker(&sluice_library::Store::default(), options.trace) {
        Ok(worker) => worker.connect(&options.nats),
        Err(error) => {
            tracing::error!(%error, "a resource is put together wrongly");
            return ExitCode::FAILURE;
        }
    };
    let worker = match &options.instance {
        Some(id) => worker.instance(id),
        None => worker,
    };
    match worker.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "worker ended");
            ExitCode::FAILURE
        }
    }
}
