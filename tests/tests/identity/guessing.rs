//! Guessing credentials has a price.

use reqwest::Method;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::socket::{Socket, TOPIC};

use crate::{KEY, KEY_HASH, SECRET, token};

const MOST: u64 = 5;

/// One gateway that takes few wrong guesses, and believes a proxy at this machine.
async fn cluster() -> Cluster {
    let key = format!("[[api_key]]\nid = \"k1\"\nhash = \"{KEY_HASH}\"\nuser_id = \"robot\"\n");
    Cluster::start(BrokerKind::Embedded)
        .gateway(move |_, g| {
            g.option("identity", "trust_client_identity", false)
                .option("jwt", "secret", SECRET)
                .option("jwt", "any_audience", true)
                .option("limits", "refused_per_minute", MOST)
                .option("http", "trusted_proxies", vec!["127.0.0.1/32"])
                .toml(&key)
        })
        .await
        .unwrap()
}

fn from(cluster: &Cluster, address: &str) -> Client {
    let client = cluster.gateway(0).client().unwrap();
    client.header("x-forwarded-for", address)
}

#[tokio::test]
async fn wrong_tokens_and_keys_count_until_their_address_is_limited() {
    let cluster = cluster().await;
    let wrong = [
        ("authorization", format!("Bearer {}x", token("ann", 60))),
        ("authorization", format!("Bearer {}", token("ann", -60))),
        ("authorization", "Basic dTpw".to_owned()),
        ("x-api-key", "sk_guess-1".to_owned()),
        ("x-api-key", "sk_guess-2".to_owned()),
    ];
    for (name, value) in &wrong {
        let client = from(&cluster, "192.0.2.1").header(name, value);
        let (status, answer) = client.call("demo", "whoami", json!({})).await.unwrap();
        assert_eq!(
            (status, answer.code()),
            (401, "unauthenticated"),
            "{answer:?}"
        );
    }
    // Whatever is shown from there now, right or wrong: nothing is tried any more.
    for (name, value) in [("x-api-key", "sk_guess-3"), ("x-api-key", KEY)] {
        let client = from(&cluster, "192.0.2.1").header(name, value);
        let (status, answer) = client.call("demo", "whoami", json!({})).await.unwrap();
        assert_eq!((status, answer.code()), (429, "rate_limited"), "{answer:?}");
        assert!(answer.can_retry);
        let details = answer.details.unwrap();
        assert_eq!(details["limit"], "refused");
        assert!((1..=60_000).contains(&details["retry_after_ms"].as_u64().unwrap()));
        let place = "/api/calls/00000000000000000000000000000000";
        assert_eq!(client.status_of(place).await.unwrap(), 429);
        let upgrade = client
            .request(Method::GET, "/socket/websocket?vsn=2.0.0")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(upgrade.send().await.unwrap().status(), 429);
    }
    let elsewhere = from(&cluster, "192.0.2.2").header("x-api-key", KEY);
    let (status, _) = elsewhere.call("demo", "whoami", json!({})).await.unwrap();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn joins_and_renewals_count_too() {
    let cluster = cluster().await;
    let mut socket = Socket::connect(cluster.gateway(0).address()).await.unwrap();
    let good = json!({"token": token("ann", 600)});
    let wrong = json!({"token": token("ann", -600)});
    let mut ask = async |topic: &str, event: &str, payload: &serde_json::Value| {
        let reference = socket.push_event(topic, event, payload).await.unwrap();
        let reply = socket.reply(reference).await.unwrap().payload;
        let reason = &reply["response"]["reason"];
        (
            reply["status"] == "ok",
            reason.as_str().unwrap_or_default().to_owned(),
        )
    };
    assert!(ask(TOPIC, "phx_join", &good).await.0);
    for i in 0..MOST {
        let (ok, reason) = match i % 2 {
            0 => ask("api:other", "phx_join", &wrong).await,
            _ => ask(TOPIC, "renew_token", &wrong).await,
        };
        assert!(!ok && reason.contains("expired"), "{i}: {reason}");
    }
    for (topic, event) in [("api:other", "phx_join"), (TOPIC, "renew_token")] {
        let (ok, reason) = ask(topic, event, &good).await;
        assert!(!ok && reason.contains("try again in"), "{event}: {reason}");
    }
    // Other addresses are not touched.
    let client = from(&cluster, "192.0.2.9").header("x-api-key", KEY);
    let (status, _) = client.call("demo", "whoami", json!({})).await.unwrap();
    assert_eq!(status, 200);
}
