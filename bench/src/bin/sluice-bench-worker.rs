//! The worker behind the gateways: an echo under each rule that is measured. A program of its own,
//! because the floors keep the allocator that they get by default.

use sluice_worker::schemars::JsonSchema;
use sluice_worker::{Function, Worker};

use clap::Parser;

/// Its service; the load names it too.
const SERVICE: &str = "bench";

// As docs/writing-workers.md recommends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// The broker.
    #[arg(long)]
    nats: String,
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

fn checked(name: &str) -> Function {
    Function::sync(name, echo)
}

#[tokio::main]
async fn main() -> Result<(), sluice_worker::WorkerError> {
    let args = Args::parse();
    Worker::builder(SERVICE)
        .function_with(checked("plain").unchecked_args())
        .function_with(checked("checked"))
        .function_with(checked("guarded").any_authenticated())
        .function_with(checked("denied").require_role("nobody"))
        .function_with(checked("round_robin").round_robin())
        .function_with(checked("least_loaded").least_loaded())
        .function_with(checked("hash").hash_arg("id"))
        .function_with(checked("sticky").sticky("id"))
        .connect(&args.nats)
        .concurrency(4096)
        .run()
        .await
}
