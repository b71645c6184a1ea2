//! A stream whose items wait for the client: `cargo run -p sluice-worker --example streaming`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sluice_worker::{Context, Error, Function, StreamSender, Worker, WorkerError};

#[derive(Debug, Deserialize, JsonSchema)]
struct Ticks {
    /// How many.
    count: u32,
    /// Milliseconds between two.
    #[serde(default = "one_second")]
    every_ms: u64,
}

fn one_second() -> u64 {
    1000
}

#[derive(Debug, Serialize)]
struct Tick {
    n: u32,
}

/// Dropped at its next await when the client has gone, so nothing needs to be checked.
async fn ticks(ctx: Context, args: Ticks, out: StreamSender<Tick>) -> Result<(), Error> {
    tracing::info!(request_id = ctx.request_id(), "counting");
    for n in 1..=args.count {
        tokio::time::sleep(Duration::from_millis(args.every_ms)).await;
        out.send(Tick { n }).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), WorkerError> {
    tracing_subscriber::fmt().init();
    Worker::builder("clock")
        .function_with(
            Function::stream("ticks", ticks)
                .version("1.0.0")
                .timeout(Duration::from_secs(30))
                .max_duration(Duration::from_secs(3600)),
        )
        .run()
        .await
}
