//! Load, floors and ratios: `cargo run --release -p sluice-bench -- compare`.
//!
//! | module | what it is |
//! |---|---|
//! | [`floor`] | the proxies that a good engineer writes in an afternoon: what we are measured against |
//! | [`load`] | closed-loop and open-loop load over HTTP, plain WebSockets, Phoenix sockets and NATS |
//! | [`stage`] | the processes of a run: broker, Redis, workers, floors, gateways |
//! | [`variant`] | what is measured: one load on one target |
//! | [`compare`] | interleaved rounds, medians, ratios |
//! | [`scale`] | sockets, functions, instances, gateways: what grows |
//! | [`report`] | the table, the JSON, the plots |

mod compare;
mod cpu;
mod floor;
mod load;
mod report;
mod scale;
mod stage;
mod variant;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "sluice-bench", about = "Measures Sluice beside its floors")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the variants in interleaved rounds and print ratios.
    Compare(compare::Args),
    /// Measure what grows: sockets, functions and instances, gateways, many starts at once.
    Scale(scale::Args),
    /// Serve floor (b): a POST is forwarded over NATS.
    #[command(hide = true)]
    FloorHttp(floor::Args),
    /// Serve floor (c): text messages of a WebSocket are forwarded over NATS.
    #[command(hide = true)]
    FloorSocket(floor::Args),
    /// Answer floors' requests with their own bytes.
    #[command(hide = true)]
    Responder(floor::Args),
}

/// Whatever went wrong; a run that cannot be trusted is no run.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[expect(clippy::print_stderr, reason = "this is a command line")]
fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Compare(args) => block_on(compare::run(args)),
        Command::Scale(args) => block_on(scale::run(args)),
        Command::FloorHttp(args) => block_on(floor::http::serve(args)),
        Command::FloorSocket(args) => block_on(floor::socket::serve(args)),
        Command::Responder(args) => block_on(floor::responder::serve(args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The floors run on what `#[tokio::main]` gives: default settings.
fn block_on(work: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
