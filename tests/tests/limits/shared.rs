//! However calls are spread over gateways, a limit holds.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{client_of, cluster, echo, per_user};

#[tokio::test]
async fn calls_over_all_gateways_count_together() {
    let cluster = cluster(per_user(20)).await.unwrap();
    let calls = (0..60).map(|i| {
        let client = client_of(cluster.gateway(i % 2), "u");
        async move { echo(&client).await }
    });
    let answers = join_all(calls).await;
    let admitted = answers.iter().filter(|a| a.success).count();
    assert_eq!(admitted, 20, "{answers:?}");
    for refused in answers.iter().filter(|a| !a.success) {
        assert_eq!(refused.code(), "rate_limited");
        assert!(refused.can_retry);
        let details = refused.details.as_ref().unwrap();
        assert_eq!(details["limit"], "per-user");
        assert!(details["retry_after_ms"].as_u64().unwrap() <= 600_000);
    }
    assert!(echo(&client_of(cluster.gateway(0), "v")).await.success);
}

#[tokio::test]
async fn headers_tell_what_is_left() {
    let cluster = cluster(per_user(2)).await.unwrap();
    let client = client_of(cluster.gateway(0), "u");
    let call = async || {
        let request = client.request(reqwest::Method::POST, "/api/demo/echo");
        let response = request.json(&json!({"message": "x"})).send().await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let told = [header("ratelimit-policy"), header("ratelimit")].map(Option::unwrap);
        (response.status().as_u16(), told, header("retry-after"))
    };
    let policy = r#""per-user";q=2;w=600"#.to_owned();
    let left = |n: u32| format!("\"per-user\";r={n}");
    assert_eq!(call().await, (200, [policy.clone(), left(1)], None));
    assert_eq!(call().await, (200, [policy.clone(), left(0)], None));
    let (status, [told, over], retry_after) = call().await;
    assert_eq!((status, told), (429, policy));
    let seconds: u64 = retry_after.unwrap().parse().unwrap();
    assert!((1..=600).contains(&seconds), "{seconds}");
    assert_eq!(over, format!("{};t={seconds}", left(0)));
}

#[tokio::test]
async fn an_unknown_function_uses_up_nothing_and_invalid_args_do() {
    let cluster = cluster(per_user(2)).await.unwrap();
    let client = client_of(cluster.gateway(0), "u");
    for _ in 0..3 {
        let (status, envelope) = client.call("demo", "nothing", json!({})).await.unwrap();
        assert_eq!(status, 404, "{envelope:?}");
    }
    let (status, envelope) = client.call("demo", "echo", json!({})).await.unwrap();
    assert_eq!(status, 422, "{envelope:?}");
    assert!(echo(&client).await.success);
    assert_eq!(echo(&client).await.code(), "rate_limited");
}

#[tokio::test]
async fn the_admin_port_shows_limits_and_what_a_key_has_used() {
    let cluster = cluster(per_user(5)).await.unwrap();
    for _ in 0..3 {
        assert!(echo(&client_of(cluster.gateway(0), "u")).await.success);
    }
    let admin = sluice_e2e::http::Client::new(cluster.gateway(1).admin_url()).unwrap();
    let get = async |path: &str| -> Value {
        let response = admin.get(path).send().await.unwrap();
        response.json().await.unwrap()
    };
    let list = get("/v1/limits").await;
    assert_eq!(list["limits"][0]["limit"]["name"], "per-user");
    let status = get("/v1/limits/per-user?value=u").await;
    assert_eq!(status["key"]["current_requests"], 3);
    assert_eq!(status["key"]["remaining"], 2);
    let unknown = admin.get("/v1/limits/none").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}
