//! What operators see when something is odd, with real gateways: the same commands that they type.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod calls;
mod export;
mod projects;
mod top;
mod views;

use std::process::{Command, Output};

use serde_json::Value;
use sluice_e2e::binaries;
use sluice_e2e::gateway::Gateway;
use sluice_worker::{Error, Function, Worker};

/// Exit code, output, and what was said beside it.
async fn sluice(gateway: &Gateway, line: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binaries::ours("sluice").unwrap());
    command.args(line);
    command.env("SLUICE_ADMIN_URL", gateway.admin_url());
    command.env("SLUICE_URL", gateway.url());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    told(&output.await.unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output.status.code().unwrap(), out, err)
}

/// What a command prints that ends with `code`.
async fn ends(gateway: &Gateway, code: i32, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (got, out, err) = sluice(gateway, &words).await;
    assert_eq!(got, code, "sluice {line}: {out}{err}");
    out
}

/// The JSON that a command prints.
async fn json(gateway: &Gateway, code: i32, line: &str) -> Value {
    serde_json::from_str(&ends(gateway, code, line).await).unwrap()
}

/// An instance of a shop that sells, or fails each order.
async fn shop(url: &str, instance: &str, fails: bool) -> Worker {
    let buy = move || async move {
        match fails {
            true => Err(Error::new("database_down", "the database is away").status(500)),
            false => Ok("bought"),
        }
    };
    Worker::builder("shop")
        .connect(url)
        .instance(instance)
        .config_version("7")
        .function_with(
            Function::sync("buy", buy)
                .description("buys it")
                .round_robin(),
        )
        .start()
        .await
        .unwrap()
}
