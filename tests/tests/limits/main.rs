//! Rate limits, with real gateways and a real Redis.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod api_key;
mod away;
mod four;
mod runtime;
mod shared;

use serde_json::json;
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::http::{Client, Envelope};
use sluice_e2e::nats::BrokerKind;

/// So many calls for each user within ten minutes.
fn per_user(max_requests: u32) -> String {
    format!(
        "[[limit]]\nname = \"per-user\"\nservice = \"demo\"\nkey = \"user_id\"\n\
         max_requests = {max_requests}\nwindow_ms = 600_000\n"
    )
}

/// Two gateways, one worker and a Redis; Redis is given time, since the machine may be busy.
fn cluster(limits: String) -> ClusterBuilder {
    Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .redis()
        .gateway(move |_, gateway| {
            gateway
                .option("limits", "on_failure", "fail_closed")
                .option("redis", "timeout_ms", 20_000)
                .toml(&limits)
        })
}

/// A client that says who it is.
fn client_of(gateway: &Gateway, user: &str) -> Client {
    gateway.client().unwrap().header("x-user-id", user)
}

async fn echo(client: &Client) -> Envelope {
    let (_, envelope) = client
        .call("demo", "echo", json!({"message": "x"}))
        .await
        .unwrap();
    envelope
}
