//! A worker in ten lines: `cargo run -p sluice-worker --example hello`.

use serde_json::{Value, json};
use sluice_worker::{Error, Worker, WorkerError};

async fn greet(args: Value) -> Result<Value, Error> {
    let name = args["name"].as_str().unwrap_or("stranger");
    Ok(json!({ "text": format!("hello {name}") }))
}

#[tokio::main]
async fn main() -> Result<(), WorkerError> {
    Worker::builder("hello")
        .function("greet", greet)
        .run()
        .await
}
