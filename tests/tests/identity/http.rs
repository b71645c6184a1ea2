//! Credentials in headers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{KEY, cluster, token};

#[tokio::test]
async fn tokens_and_keys_name_their_bearers() {
    let cluster = cluster().await;
    let client = || cluster.gateway(0).client().unwrap();
    let bearer = |text: &str| client().header("authorization", &format!("Bearer {text}"));
    let ann = token("ann", 600);
    for (client, user, roles) in [
        (
            client().header("x-user-id", "mallory"),
            Value::Null,
            Value::Null,
        ),
        (
            bearer(&ann).header("x-user-id", "mallory"),
            json!("ann"),
            json!(["admin"]),
        ),
        (bearer(KEY), json!("robot"), Value::Null),
        (
            client().header("x-api-key", KEY),
            json!("robot"),
            Value::Null,
        ),
    ] {
        let (status, answer) = client.call("demo", "whoami", json!({})).await.unwrap();
        assert_eq!(status, 200, "{answer:?}");
        assert_eq!(answer.result["user_id"], user, "{answer:?}");
        assert_eq!(answer.result["roles"], roles, "{answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_credential_is_never_anonymous() {
    let cluster = cluster().await;
    let expired = format!("Bearer {}", token("ann", -60));
    let tampered = format!("Bearer {}x", token("ann", 60));
    for (name, value) in [
        ("authorization", expired.as_str()),
        ("authorization", tampered.as_str()),
        ("authorization", "Bearer garbage"),
        ("authorization", "Basic YTpi"),
        ("x-api-key", "sk_wrong"),
    ] {
        let client = cluster.gateway(0).client().unwrap().header(name, value);
        for (method, path) in [
            (Method::POST, "/api/demo/whoami"),
            (Method::GET, "/api/calls/00000000000000000000000000000000"),
            (Method::GET, "/socket/websocket?vsn=2.0.0"),
        ] {
            let mut request = client.request(method, path);
            if path.starts_with("/socket") {
                request = request
                    .header("connection", "Upgrade")
                    .header("upgrade", "websocket")
                    .header("sec-websocket-version", "13")
                    .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{name}: {value} at {path}");
            assert!(
                response.headers()["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Bearer")
            );
        }
    }
}

#[tokio::test]
async fn results_are_for_those_who_called() {
    let cluster = cluster().await;
    let client = || cluster.gateway(0).client().unwrap();
    let bearer = |text: &str| client().header("authorization", &format!("Bearer {text}"));
    let ann = bearer(&token("ann", 600));
    let accepted = ann
        .request(Method::POST, "/api/demo/report")
        .json(&json!({"ms": 10}))
        .send()
        .await
        .unwrap();
    assert_eq!(accepted.status(), 202);
    let place = accepted.headers()["location"].to_str().unwrap().to_owned();
    let strangers = [
        client(),
        bearer(&token("bob", 600)),
        client().header("x-api-key", KEY),
    ];
    for stranger in strangers {
        assert_eq!(stranger.status_of(&place).await.unwrap(), 404);
    }
    // Another token of the same user is the same user.
    let again = bearer(&token("ann", 300)).status_of(&place).await.unwrap();
    assert!([200, 202].contains(&again), "{again}");
}
