//! Clients of older versions, served by today's functions: over HTTP, Phoenix and as streams, by
//! changes that the gateway runs and by changes in the worker's code.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod code;
mod declared;
mod plain;
mod sources;
mod steered;

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http::{Client, Envelope};
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::socket::{EVENT, Socket};
use sluice_e2e::{Error, eventually};

/// A broker and a gateway; the tests start workers of their own.
async fn cluster(shape: fn(GatewayBuilder) -> GatewayBuilder) -> Cluster {
    Cluster::start(BrokerKind::Embedded)
        .workers(0)
        .gateway(move |_, gateway| shape(gateway))
        .await
        .unwrap()
}

/// A call of `devices.<function>` in a version, as user `u1` of role `writer`.
fn request(version: &str, function: &str, args: Value) -> Value {
    json!({
        "service": "devices", "request_type": function, "version": version, "args": args,
        "user_id": "u1", "user_roles": ["writer"],
    })
}

async fn call(client: &Client, version: &str, function: &str, args: Value) -> (u16, Envelope) {
    let request = request(version, function, args);
    client.call_whole(&request).await.unwrap()
}

/// Waits until `devices.<function>` is served.
async fn served(client: &Client, function: &str) {
    eventually(&format!("devices.{function} is served"), || async {
        let (_, envelope) = call(client, "3", function, json!({})).await;
        Ok::<_, Error>(!matches!(
            envelope.code(),
            "unknown_function" | "no_workers" | "broker_unavailable"
        ))
    })
    .await
    .unwrap();
}

/// Everything that a call over a Phoenix socket pushes, to the last.
async fn pushes(socket: &mut Socket, mut request: Value) -> Vec<Value> {
    request["request_id"] = json!("push");
    socket.push(&request).await.unwrap();
    let mut all = Vec::new();
    loop {
        let frame = socket.frame().await.unwrap();
        if frame.event != EVENT || frame.payload["request_id"] != "push" {
            continue;
        }
        let more = frame.payload["has_more"] == true;
        all.push(frame.payload);
        if !more {
            return all;
        }
    }
}
