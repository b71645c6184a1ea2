//! A worker that fails as often as it is told, to see what the gateway makes of it:
//! `cargo run -p sluice-worker --example flaky -- INSTANCE PERCENT`.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_worker::{Error, Function, Worker, WorkerError};

#[tokio::main]
async fn main() -> Result<(), WorkerError> {
    let mut arguments = std::env::args().skip(1);
    let instance = arguments.next().unwrap_or_else(|| "flaky".to_owned());
    let percent: u64 = arguments.next().and_then(|p| p.parse().ok()).unwrap_or(50);
    let buy = move |args: Value| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        // By the order's number, so that runs are alike.
        let fails = args["order"].as_u64().unwrap_or(0) % 100 < percent;
        if fails {
            return Err(Error::new("database_down", "the database does not answer").status(500));
        }
        Ok(json!({ "bought": args["order"] }))
    };
    let look = async |_: Value| json!({ "in_stock": 7 });
    Worker::builder("shop")
        .instance(&instance)
        .function_with(Function::sync("buy", buy).description("buys what was ordered"))
        .function_with(Function::sync("look", look).idempotent())
        .run()
        .await
}
