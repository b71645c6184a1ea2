//! An async call whose gateway is killed has an end, too.

use reqwest::Method;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::Envelope;
use sluice_e2e::nats::BrokerKind;

#[tokio::test]
async fn a_call_that_lost_its_gateway_is_told_to_be_lost_when_its_time_is_up() {
    let mut cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .redis()
        .gateway(|_, g| g.option("redis", "timeout_ms", 5000))
        .await
        .unwrap();
    let client = cluster.gateway(0).client().unwrap();
    let accepted = client
        .request(Method::POST, "/api/demo/report")
        .json(&json!({"ms": 600_000}))
        .send()
        .await
        .unwrap();
    assert_eq!(accepted.status(), 202);
    let place = accepted.headers()["location"].to_str().unwrap().to_owned();
    let (_, id) = place.rsplit_once('/').unwrap();
    cluster.gateway(0).process().kill9().unwrap();
    let key = format!("sluice:result:{id}");
    let other = cluster.gateway(1).client().unwrap();
    assert_eq!(other.status_of(&place).await.unwrap(), 202, "pending still");
    // Time passes, by the clock of Redis that all gateways go by.
    let redis = cluster.redis_mut().unwrap();
    redis
        .command(&["HINCRBY", &key, "due", "-600000"])
        .await
        .unwrap();
    let response = other.get(&place).send().await.unwrap();
    assert_eq!(response.status(), 502);
    let answer = Envelope::parse(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.code(), "worker_lost", "{answer:?}");
    assert!(!answer.can_retry);
    assert_eq!(answer.details.unwrap()["executed"], "unknown");
}
