//! The demo worker as a process of its own.

mod broker;
mod health;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A worker with one function for each thing that Sluice does.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    broker: broker::Broker,
    /// The instance id, another one for each process; default: random.
    #[arg(long)]
    instance: Option<String>,
    /// The instance id is the host's name, which in a container is another one each time.
    #[arg(long, conflicts_with = "instance")]
    instance_is_hostname: bool,
    /// The service's name.
    #[arg(long, default_value = sluice_demo::SERVICE)]
    service: String,
    /// The version of all functions.
    #[arg(long, default_value = sluice_demo::VERSION)]
    version: String,
    /// Calls that are at work at once.
    #[arg(long, default_value_t = sluice_worker::DEFAULT_CONCURRENCY)]
    concurrency: u32,
    /// What stands before all subjects; default: sluice.
    #[arg(long)]
    prefix: Option<String>,
    /// The service's secret, which signs registry messages.
    #[arg(long, env = "SLUICE_SECRET", hide_env_values = true)]
    secret: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the worker of this instance id over NATS whether it answers. For health checks of containers.
    Health,
}

impl Options {
    fn instance(&self) -> Option<String> {
        if self.instance_is_hostname {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
            return Some(name.trim().to_owned());
        }
        self.instance.clone()
    }
}

/// For the last spans.
const LAST_EXPORT: std::time::Duration = std::time::Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    if let Some(Command::Health) = options.command {
        return match health::check(&options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error, "not healthy");
                ExitCode::FAILURE
            }
        };
    }
    let worker = sluice_demo::worker_as(&options.service, &options.version);
    let mut worker = options
        .broker
        .apply(worker)
        .concurrency(options.concurrency);
    if let Some(id) = options.instance() {
        worker = worker.instance(&id);
    }
    if let Some(prefix) = &options.prefix {
        worker = worker.prefix(prefix);
    }
    if let Some(secret) = options.secret {
        worker = worker.secret(secret);
    }
    let spans = match sluice_worker::telemetry::from_env(&options.service) {
        Ok(spans) => spans,
        Err(error) => {
            tracing::error!(%error, "no spans can be exported");
            return ExitCode::FAILURE;
        }
    };
    if let Some(spans) = &spans {
        worker = worker.spans(spans.clone());
    }
    let ended = worker.run().await;
    if let Some(spans) = spans {
        spans.shutdown(LAST_EXPORT).await;
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "worker ended");
            ExitCode::FAILURE
        }
    }
}
