//! Everything that the program brings along does what it says, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use sluice_broker::{Broker, BrokerOptions, RunningBroker};
use sluice_gateway::app::Gateway;
use sluice_gateway::config::Config;

async fn start() -> (Gateway, RunningBroker) {
    let broker = Broker::spawn(([127, 0, 0, 1], 0).into(), BrokerOptions::default());
    let broker = broker.await.unwrap();
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.admin.listen = ([127, 0, 0, 1], 0).into();
    config.nats.url = broker.url();
    config.gateway.shards = 1;
    config.gateway.drain_delay = Duration::ZERO;
    config.registry.open = true;
    config.identity.trust_client_identity = true;
    let gateway = sluice_embedded::gateway(config).unwrap();
    (gateway.start().await.unwrap(), broker)
}

async fn call(gateway: &Gateway, user: &str, function: &str, args: Value) -> Value {
    let url = format!("http://{}/api/orders/{function}", gateway.http());
    // Whoever installed one before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new()
        .post(url)
        .header("x-user-id", user)
        .header("content-type", "application/json")
        .body(args.to_string());
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn functions_hooks_permissions_selection_and_middleware_are_the_programs_own() {
    let (gateway, broker) = start().await;
    let item = json!({"item": "tea"});
    // The functions are there when start returns; which instances are known takes a moment more.
    let known = |snapshot: &sluice_gateway::registry::snapshot::Snapshot| {
        let function = snapshot.resolve("orders", "place", None);
        function.is_ok_and(|f| f.variants.iter().map(|v| v.instances.len()).sum::<usize>() == 2)
    };
    let waited = gateway.registry().wait_for(known);
    tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .unwrap();

    for _ in 0..4 {
        let answer = call(&gateway, "acme/ann", "place", item.clone()).await;
        assert_eq!(answer["result"]["by"], "main", "{answer}");
        assert_eq!(answer["result"]["note"], "without a note", "{answer}");
    }
    let answer = call(&gateway, "acme/tester", "place", item.clone()).await;
    assert_eq!(answer["result"]["by"], "canary", "{answer}");
    let noted = json!({"item": "tea", "note": "soon"});
    let answer = call(&gateway, "acme/ann", "place", noted).await;
    assert_eq!(answer["result"]["note"], "soon", "{answer}");

    let answer = call(&gateway, "ann", "place", item).await;
    assert_eq!(answer["error_code"], "unauthenticated", "{answer}");

    let own = json!({"owner": "acme/ann"});
    for (user, code) in [
        ("acme/ann", None),
        ("acme/admin", None),
        ("acme/bob", Some("permission_denied")),
        ("other/admin", Some("permission_denied")),
    ] {
        let answer = call(&gateway, user, "see", own.clone()).await;
        assert_eq!(answer["error_code"].as_str(), code, "{user}: {answer}");
    }
    gateway.drain().await;
    broker.shutdown().await;
}
