//! Operators steer all gateways at once, with real gateways and a real Redis.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod clients;
mod commands;
mod everywhere;
mod instances;
mod limits;
mod live;
mod versions;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::http::Envelope;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, Result, eventually};

const TOKEN: &str = "operator-0123456789abcdef";

/// Two gateways with a Redis, which they are patient with, and an operator.
fn cluster() -> ClusterBuilder {
    Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .redis()
        .gateway(|_, gateway| {
            gateway.option("redis", "timeout_ms", 20_000).toml(&format!(
                "[admin.tokens]\nann = {{ token = \"{TOKEN}\", allow = [\"*\"] }}\n"
            ))
        })
}

/// Stops all gateways, and only then starts the first one again: none is left that could tell the
/// others what was decided.
async fn restart_all(cluster: &mut Cluster) {
    for gateway in cluster.gateways() {
        gateway.process().kill9().unwrap();
        gateway.process().wait_exit().await.unwrap();
    }
    for gateway in cluster.gateways_mut() {
        gateway.restart().await.unwrap();
    }
}

/// The same with two workers, of versions 1.0.0 and 1.1.0, which both gateways serve.
async fn two_versions() -> Cluster {
    let cluster = cluster()
        .workers(2)
        .worker(|i, worker| worker.version(["1.0.0", "1.1.0"][i]))
        .await
        .unwrap();
    for gateway in cluster.gateways() {
        answers(gateway, Some("1.0.0"), "").await;
        answers(gateway, Some("1.1.0"), "").await;
    }
    cluster
}

/// What the admin API of a gateway answers to the operator.
async fn ask(gateway: &Gateway, method: Method, path: &str, body: Value) -> (u16, Value) {
    try_ask(gateway, method, path, body).await.unwrap()
}

async fn try_ask(
    gateway: &Gateway,
    method: Method,
    path: &str,
    body: Value,
) -> Result<(u16, Value)> {
    let url = format!("{}{path}", gateway.admin_url());
    let because = |error| Error::because(path, error);
    let request = reqwest::Client::new().request(method, url);
    let request = request.bearer_auth(TOKEN).body(body.to_string());
    let response = request.send().await.map_err(because)?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.map_err(because)?))
}

/// Calls `demo.echo` in some version.
async fn echo(gateway: &Gateway, version: Option<&str>) -> Envelope {
    let body = json!({
        "service": "demo", "request_type": "echo", "version": version,
        "args": {"message": "x"}, "request_id": "r",
    });
    let client = gateway.client().unwrap();
    client.call_whole(&body).await.unwrap().1
}

/// Waits until a call answers with this code; "" is success.
async fn answers(gateway: &Gateway, version: Option<&str>, code: &str) {
    let what = format!("{} answers {version:?} with {code:?}", gateway.url());
    eventually(&what, || async {
        match echo(gateway, version).await {
            answer
                if answer.success == code.is_empty()
                    && (answer.success || answer.code() == code) =>
            {
                Ok(())
            }
            answer => Err(Error::new(format!("{answer:?}"))),
        }
    })
    .await
    .unwrap();
}
