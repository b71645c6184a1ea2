//! What grows: open sockets, registered functions and instances, gateways, and all that starts at
//! once. Each part starts its own processes and ends them.

mod gateways;
mod registry;
mod sockets;
mod swarm;

use std::process::Command;

use serde::Serialize;
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::Broker;
use sluice_e2e::process::Process;

use crate::Result;
use crate::compare::build_gateway;

/// Arguments of `scale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Parts to run; all of them if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Seconds that each load lasts.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Phoenix sockets.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Simulated workers that start at once.
    #[arg(long, default_value_t = 1000)]
    workers: usize,
    /// Gateways that start with them.
    #[arg(long, default_value_t = 10)]
    gateways: usize,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// One part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Idle Phoenix sockets, then a trickle of calls over them.
    Sockets,
    /// A call's cost with one function and instance, and with a thousand and two hundred.
    Registry,
    /// The same load on 1, 2 and 4 gateways.
    Gateways,
    /// Many workers and gateways that start together.
    Swarm,
}

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    part: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
}

/// What the parts found.
#[derive(Debug, Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn add(&mut self, part: &'static str, what: impl Into<String>, value: f64, unit: &'static str) {
        let what = what.into();
        self.0.push(Figure {
            part,
            what,
            value,
            unit,
        });
    }

    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    fn print(&self, json: bool) -> Result {
        if json {
            println!("{}", serde_json::to_string_pretty(&self.0)?);
            return Ok(());
        }
        println!("| part | what | |");
        println!("|---|---|---|");
        for Figure {
            part,
            what,
            value,
            unit,
        } in &self.0
        {
            let digits = if *value < 100.0 { 2 } else { 0 };
            println!("| {part} | {what} | {value:.digits$} {unit} |");
        }
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "progress of a command line")]
pub(crate) async fn run(args: Args) -> Result {
    build_gateway()?;
    let mut figures = Figures::default();
    let all = [Part::Sockets, Part::Registry, Part::Gateways, Part::Swarm];
    for part in all {
        if !args.parts.is_empty() && !args.parts.contains(&part) {
            continue;
        }
        eprintln!("{part:?} …");
        match part {
            Part::Sockets => sockets::run(&args, &mut figures).await?,
            Part::Registry => registry::run(&args, &mut figures).await?,
            Part::Gateways => gateways::run(&args, &mut figures).await?,
            Part::Swarm => swarm::run(&args, &mut figures).await?,
        }
    }
    figures.print(args.json)
}

fn gateway(broker: &Broker) -> GatewayBuilder {
    Gateway::builder(broker.url()).option("log", "filter", "warn")
}

/// Workers of one service in one process.
fn workers(broker: &Broker, functions: usize, instances: usize) -> Result<Process> {
    let mut worker = Command::new(sluice_e2e::binaries::ours("sluice-bench-worker")?);
    worker.args(["--nats", &broker.url()]);
    worker.args(["--functions", &functions.to_string()]);
    worker.args(["--instances", &instances.to_string()]);
    Ok(Process::spawn("workers", worker)?)
}
