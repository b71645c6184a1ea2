//! What stands between a call and a worker: hooks, permission callbacks, breakers, bulkheads, each
//! with real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod breaker;
mod bulkhead;
mod callbacks;
mod hooks;
mod lost;
mod promises;
#[expect(clippy::print_stderr, reason = "its log is what the tests wait for")]
mod worker;

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http::{Client, Envelope};
use sluice_e2e::nats::BrokerKind;

/// A broker and a gateway; the tests start workers of their own.
async fn cluster(shape: fn(GatewayBuilder) -> GatewayBuilder) -> Cluster {
    Cluster::start(BrokerKind::Embedded)
        .workers(0)
        .gateway(move |_, gateway| shape(gateway))
        .await
        .unwrap()
}

/// Calls `shop.<function>` as `u1`.
async fn call(client: &Client, function: &str, args: Value) -> (u16, Envelope) {
    let whole = json!({
        "service": "shop", "request_type": function, "args": args, "user_id": "u1",
    });
    client.call_whole(&whole).await.unwrap()
}

/// Waits until `shop.<function>` answers something else than that it is not there.
async fn known(client: &Client, function: &str) {
    sluice_e2e::eventually(&format!("shop.{function} is known"), || async {
        let (_, envelope) = call(client, function, json!({})).await;
        !matches!(
            envelope.code(),
            "unknown_function" | "no_workers" | "broker_unavailable"
        )
    })
    .await
    .unwrap();
}
