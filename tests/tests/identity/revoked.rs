//! Who is revoked on one gateway is let in by none, and it stays so.

use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::socket::{Socket, TOPIC};
use sluice_e2e::{Error, Result, binaries, eventually};

use crate::{KEY, KEY_HASH, SECRET, issued};

const OPERATOR: &str = "an-operator-token-of-a-test";

/// Two gateways over a real NATS, with Redis.
async fn cluster() -> Cluster {
    let more = format!(
        "[[api_key]]\nid = \"k1\"\nhash = \"{KEY_HASH}\"\nuser_id = \"robot\"\n\
         [admin.tokens]\nops = {{ token = \"{OPERATOR}\", allow = [\"*\"] }}\n"
    );
    Cluster::start(BrokerKind::NatsOld)
        .gateways(2)
        .redis()
        .gateway(move |_, g| {
            g.option("identity", "trust_client_identity", false)
                .option("jwt", "secret", SECRET)
                .option("jwt", "any_audience", true)
                .option("redis", "timeout_ms", 5000)
                .toml(&more)
        })
        .await
        .unwrap()
}

fn admin(gateway: &Gateway) -> Client {
    let client = Client::new(gateway.admin_url()).unwrap();
    client.header("authorization", &format!("Bearer {OPERATOR}"))
}

async fn revoke(gateway: &Gateway, what: Value) {
    let request = admin(gateway).request(reqwest::Method::POST, "/v1/revocations");
    let response = request.json(&what).send().await.unwrap();
    assert_eq!(response.status(), 200, "{what}");
}

fn sluice(gateway: &Gateway, args: &[&str]) -> String {
    let output = Command::new(binaries::ours("sluice").unwrap())
        .args(args)
        .args(["--admin", &gateway.admin_url(), "--token", OPERATOR])
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The status of a call with a credential.
async fn status(gateway: &Gateway, credential: &str) -> Result<u16> {
    let bearer = format!("Bearer {credential}");
    let client = gateway.client()?.header("authorization", &bearer);
    Ok(client.call("demo", "whoami", json!({})).await?.0)
}

async fn becomes(gateway: &Gateway, credential: &str, expected: u16) {
    eventually("the gateway knows", || async {
        match status(gateway, credential).await? {
            status if status == expected => Ok(()),
            status => Err(Error::new(format!("{status}, not {expected}"))),
        }
    })
    .await
    .unwrap();
}

async fn joined(gateway: &Gateway, shown: Value) -> Socket {
    let mut socket = Socket::connect(gateway.address()).await.unwrap();
    let reference = socket.push_event(TOPIC, "phx_join", &shown).await.unwrap();
    let reply = socket.reply(reference).await.unwrap();
    assert_eq!(reply.payload["status"], "ok", "{reply:?}");
    socket
}

async fn is_closed(mut socket: Socket) {
    let (closed, frames) = socket.closed().await.unwrap();
    let told = (closed.code, closed.reason.as_str());
    assert_eq!(told, (4001, "token revoked"));
    let events: Vec<_> = frames.iter().map(|f| f.event.as_str()).collect();
    assert_eq!(events, ["token_expired", "phx_error"]);
}

#[tokio::test]
async fn who_is_revoked_on_one_gateway_is_thrown_out_by_the_other() {
    let cluster = cluster().await;
    let (a, b) = (cluster.gateway(0), cluster.gateway(1));
    let (ann, bob) = (issued("ann", "t-ann", 0), issued("bob", "t-bob", 0));
    let bystander = issued("bob", "t-bob-2", 0);
    for (what, credential, shown) in [
        (json!({"user": "ann"}), ann.as_str(), json!({"token": ann})),
        (json!({"token": "t-bob"}), &bob, json!({"token": bob})),
        (json!({"api_key": "k1"}), KEY, json!({"api_key": KEY})),
    ] {
        let socket = joined(b, shown).await;
        let mut other = joined(b, json!({"token": bystander})).await;
        assert_eq!(status(b, credential).await.unwrap(), 200);
        revoke(a, what).await;
        assert_eq!(status(a, credential).await.unwrap(), 401, "at once");
        is_closed(socket).await;
        assert_eq!(status(b, credential).await.unwrap(), 401);
        let answer = other.call("whoami", json!({})).await.unwrap();
        assert_eq!(answer["result"]["user_id"], "bob", "{answer}");
    }
    // A newer token of the user counts.
    let newer = issued("ann", "t-ann-2", 5);
    assert_eq!(status(b, &newer).await.unwrap(), 200);
    let list = admin(b).get("/v1/revocations").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!(list["revocations"].as_array().unwrap().len(), 3, "{list}");
}

#[tokio::test]
async fn it_stays_so_when_all_gateways_restart_and_can_be_taken_back() {
    let mut cluster = cluster().await;
    let ann = issued("ann", "t", 0);
    let out = sluice(cluster.gateway(0), &["revoke", "api-key", "k1"]);
    assert!(out.starts_with("api key k1: revoked"), "{out}");
    sluice(cluster.gateway(0), &["revoke", "user", "ann"]);
    for credential in [KEY, &ann] {
        becomes(cluster.gateway(1), credential, 401).await;
    }
    kept_in_redis(&mut cluster, 2).await;
    for gateway in cluster.gateways_mut() {
        gateway.restart().await.unwrap();
    }
    for gateway in cluster.gateways() {
        gateway.wait_ready().await.unwrap();
        // The first call of all: nobody slips through while the gateway still asks.
        assert_eq!(status(gateway, KEY).await.unwrap(), 401);
        assert_eq!(status(gateway, &ann).await.unwrap(), 401);
    }
    let out = sluice(cluster.gateway(1), &["revoke", "--undo", "api-key", "k1"]);
    assert!(out.starts_with("api key k1: let in again"), "{out}");
    cluster
        .wait_served("demo", "echo", &json!({"message": "x"}))
        .await
        .unwrap();
    for gateway in cluster.gateways() {
        becomes(gateway, KEY, 200).await;
        assert_eq!(status(gateway, &ann).await.unwrap(), 401);
    }
    cluster.gateways_mut()[0].restart().await.unwrap();
    becomes(cluster.gateway(0), KEY, 200).await;
}

/// Waits until so many revocations stand in Redis.
async fn kept_in_redis(cluster: &mut Cluster, count: u64) {
    let redis = cluster.redis_mut().unwrap();
    eventually("Redis keeps them", || async {
        let kept = redis.command(&["ZCARD", "{sluice:revoked}:changes"]);
        match kept.await? {
            kept if kept == count => Ok(()),
            kept => Err(Error::new(format!("{kept} of {count}"))),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn without_redis_others_are_told_all_the_same_and_redis_is_told_later() {
    let mut cluster = cluster().await;
    let ann = issued("ann", "t", 0);
    let socket = joined(cluster.gateway(1), json!({"token": ann})).await;
    let redis = cluster.redis_mut().unwrap();
    redis.process().kill9().unwrap();
    redis.process().wait_exit().await.unwrap();
    revoke(cluster.gateway(0), json!({"token": "t"})).await;
    is_closed(socket).await;
    assert_eq!(status(cluster.gateway(1), &ann).await.unwrap(), 401);
    // It comes back without its memory, and hears of it.
    cluster.redis_mut().unwrap().restart().await.unwrap();
    kept_in_redis(&mut cluster, 1).await;
    // A second loss, with nothing new to tell: what is known is told again.
    cluster.redis_mut().unwrap().restart().await.unwrap();
    kept_in_redis(&mut cluster, 1).await;
    cluster.gateways_mut()[1].restart().await.unwrap();
    cluster.gateway(1).wait_ready().await.unwrap();
    assert_eq!(status(cluster.gateway(1), &ann).await.unwrap(), 401);
}

#[tokio::test]
async fn without_the_broker_it_comes_by_redis() {
    let mut cluster = cluster().await;
    let socket = joined(cluster.gateway(1), json!({"api_key": KEY})).await;
    cluster.broker_mut().stop().await.unwrap();
    revoke(cluster.gateway(0), json!({"api_key": "k1"})).await;
    is_closed(socket).await;
    assert_eq!(status(cluster.gateway(1), KEY).await.unwrap(), 401);
}
