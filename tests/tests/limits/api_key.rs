//! Limits that API keys name: plans.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::{Socket, TOPIC};

use crate::{cluster, echo};

const KEYS: [(&str, &str); 4] = [
    ("sk_gold", r#"["gold"]"#),
    ("sk_silver-a", r#"["silver"]"#),
    ("sk_silver-b", r#"["silver"]"#),
    ("sk_plain", "[]"),
];

/// Two plans, and four keys of one user.
fn plans() -> String {
    let mut text = String::new();
    for (plan, max_requests) in [("gold", 6), ("silver", 3)] {
        let _ = writeln!(
            text,
            "[[limit]]\nname = \"{plan}\"\nservice = \"demo\"\nkey = \"api_key\"\n\
             max_requests = {max_requests}\nwindow_ms = 600_000\nnamed_only = true"
        );
    }
    for (key, limits) in KEYS {
        let hash = hex::encode(Sha256::digest(key.as_bytes()));
        let _ = writeln!(
            text,
            "[[api_key]]\nid = \"id-of-{key}\"\nhash = \"{hash}\"\nuser_id = \"u\"\nlimits = {limits}"
        );
    }
    text
}

async fn admitted(gateways: &[Gateway], key: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for i in 0..calls {
        let client = gateways[i % gateways.len()].client().unwrap();
        let answer = echo(&client.header("x-api-key", key)).await;
        if !answer.success {
            assert_eq!(answer.code(), "rate_limited", "{answer:?}");
        }
        admitted += usize::from(answer.success);
    }
    admitted
}

#[tokio::test]
async fn the_limits_that_a_key_names_apply_to_it_and_to_nobody_else() {
    let cluster = cluster(plans()).await.unwrap();
    let gateways = cluster.gateways();
    for (key, expected) in [
        ("sk_gold", 6),
        ("sk_silver-a", 3),
        // Counted by key: the other one of this plan has its own.
        ("sk_silver-b", 3),
        ("sk_plain", 10),
    ] {
        assert_eq!(admitted(gateways, key, 10).await, expected, "{key}");
    }
    let nobody = gateways[0].client().unwrap();
    for _ in 0..10 {
        assert!(echo(&nobody).await.success);
    }
}

#[tokio::test]
async fn they_apply_on_sockets_too_and_the_refusal_names_the_plan() {
    let cluster = cluster(plans()).await.unwrap();
    assert_eq!(admitted(cluster.gateways(), "sk_silver-a", 3).await, 3);
    let mut socket = Socket::connect(cluster.gateway(1).address()).await.unwrap();
    let shown = json!({"api_key": "sk_silver-a"});
    let joined = socket.push_event(TOPIC, "phx_join", &shown).await.unwrap();
    assert_eq!(socket.reply(joined).await.unwrap().payload["status"], "ok");
    let answer = socket.call("echo", json!({"message": "x"})).await.unwrap();
    assert_eq!(answer["error_code"], "rate_limited", "{answer}");
    assert_eq!(answer["details"]["limit"], "silver", "{answer}");
}
