//! Functions as requests, and as a configuration that another gateway runs.

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;

use crate::{ends, json, shop};

#[tokio::test]
async fn what_is_exported_can_be_sent_and_served() {
    let cluster = Cluster::start(BrokerKind::Embedded).await.unwrap();
    let gateway = cluster.gateway(0);
    let map = json(
        gateway,
        0,
        "export --service demo --user ann --request-id r1",
    )
    .await;
    let (_, echo) = map
        .as_object()
        .unwrap()
        .iter()
        .find(|(key, _)| key.starts_with("echo - "))
        .unwrap();
    assert_eq!(echo["event"], "phoenix_gen_api", "{map}");
    assert_eq!(echo["data"]["user_id"], "ann", "{map}");
    let (_, answer) = gateway
        .client()
        .unwrap()
        .call_whole(&echo["data"])
        .await
        .unwrap();
    assert!(answer.success, "{answer:?}");
    ends(gateway, 3, "export --service nothing").await;

    let worker = shop(&cluster.broker().url(), "s1", false).await;
    let no_args = json!({});
    cluster.wait_served("shop", "buy", &no_args).await.unwrap();
    let config = ends(gateway, 0, "export --service shop --form config").await;
    let quoted: Value = json(gateway, 0, "export --service shop --form config --json").await;
    assert_eq!(quoted["toml"], config.as_str());
    assert!(config.contains("[[function]]"), "{config}");
    // A gateway with another registry: only its file tells it of the function.
    let other = cluster
        .gateway_builder(7)
        .option("nats", "prefix", "elsewhere")
        .toml(&config)
        .start()
        .await
        .unwrap();
    other.wait_ready().await.unwrap();
    let called = other.client().unwrap().call("shop", "buy", no_args).await;
    let (status, answer) = called.unwrap();
    // Its messages are those of its own prefix, but they reach the worker.
    assert_eq!(status, 200, "{answer:?}");
    worker.shutdown().await.unwrap();
}
