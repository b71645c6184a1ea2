//! The worker behind the gateways: an echo under each rule that is measured. A program of its own,
//! because the floors keep the allocator that they get by default.

use serde_json::json;
use sluice_worker::change::{Declared, Operation};
use sluice_worker::resource::{BuildError, ETag, Reply, Resource, with};
use sluice_worker::schemars::JsonSchema;
use sluice_worker::{Error, Function, ServiceBuilder, StreamSender, Worker, WorkerBuilder};

use clap::Parser;

/// Its service; the load names it too.
const SERVICE: &str = "sdk";

// As docs/writing-workers.md recommends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// The broker.
    #[arg(long)]
    nats: String,
    /// Instead of all the rules: so many echoes, `f0`, `f1` …
    #[arg(long)]
    functions: Option<usize>,
    /// So many workers, each with a connection of its own.
    #[arg(long, default_value_t = 1)]
    instances: usize,
}

#[derive(Debug, serde::Serialize, serde::Deserialize, JsonSchema)]
#[schemars(crate = "sluice_worker::schemars")]
struct Echo {
    id: i64,
    message: String,
}

async fn echo(args: Echo) -> Echo {
    args
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
#[schemars(crate = "sluice_worker::schemars")]
struct Items {
    count: u64,
    bytes: usize,
}

/// Items of so many bytes, as fast as they are taken.
async fn items(args: Items, out: StreamSender<String>) -> Result<(), Error> {
    let item = "x".repeat(args.bytes.saturating_sub(2));
    for _ in 0..args.count {
        out.send(item.clone()).await?;
    }
    Ok(())
}

fn checked(name: &str) -> Function {
    Function::sync(name, echo)
}

/// An echo whose args had another name in version 1; the gateway translates.
fn translated(service: ServiceBuilder) -> ServiceBuilder {
    let rename = Declared::new("a text is a message", ["renamed"])
        .request([Operation::rename("text", "message")])
        .reverse_at([""]);
    service
        .function_with(checked("renamed"))
        .versions(|all| all.version("1", |v| v.declare(rename)).version("2", |v| v))
}

/// A thing of 208 bytes, with a tag, for conditional requests.
fn thing() -> Result<Resource, BuildError> {
    Resource::graph()
        .etag(with(|_| Some(ETag::strong("1"))))
        .get(with(|_| {
            Reply::json(&json!({"id": 42, "message": "x".repeat(183)}))
        }))
        .build()
}

/// An echo under each rule.
fn rules() -> Result<WorkerBuilder, BuildError> {
    let worker = Worker::builder(SERVICE)
        .function_with(checked("checked"))
        .function_with(checked("round_robin").round_robin())
        .function_with(checked("least_loaded").least_loaded())
        .function_with(checked("hash").hash_arg("id"))
        .function_with(checked("sticky").sticky("id"))
        .stream("items", items)
        .function_with(Function::resource("thing", "/things/{id}", thing()?))
        .service("old", translated)
        .concurrency(4096);
    Ok(worker)
}

fn echoes(count: usize) -> WorkerBuilder {
    (0..count).fold(Worker::builder(SERVICE), |builder, n| {
        builder.function_with(checked(&format!("f{n}")))
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut running = Vec::new();
    for number in 0..args.instances {
        let builder = match args.functions {
            Some(count) => echoes(count),
            None => rules()?,
        };
        let builder = builder.instance(&format!("bench-{number}"));
        running.push(builder.connect(&args.nats).start().await?);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
