//! A limit that is changed at one gateway holds at all of them, and after restarts.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::{Error, eventually};

use crate::{ask, cluster, restart_all};

/// Waits until a user who has not called yet is let through so often, and then refused.
async fn admits(gateway: &Gateway, round: &str, calls: usize) {
    let what = format!("{} admits {calls} calls", gateway.url());
    let tries = AtomicUsize::new(0);
    eventually(&what, || async {
        let user = format!("{round}-{}", tries.fetch_add(1, Ordering::Relaxed));
        let client = gateway.client().unwrap().header("x-user-id", &user);
        for n in 0..=calls {
            let (_, answer) = client.call("demo", "echo", json!({"message": "x"})).await?;
            let refused = answer.code() == "rate_limited";
            if refused != (n == calls) || (!refused && !answer.success) {
                return Err(Error::new(format!("call {n}: {answer:?}")));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_limit_changed_at_one_gateway_holds_at_both_and_after_both_restart() {
    let mut cluster = cluster().await.unwrap();
    let limit = |max: u32| {
        json!({
            "service": "demo", "key": "user_id", "max_requests": max, "window_ms": 600_000,
        })
    };
    let path = "/v1/limits/steered";
    let (status, body) = ask(cluster.gateway(0), Method::PUT, path, limit(2)).await;
    assert_eq!(status, 200, "{body}");
    admits(cluster.gateway(0), "first", 2).await;
    admits(cluster.gateway(1), "second", 2).await;
    let (status, body) = ask(cluster.gateway(1), Method::PUT, path, limit(4)).await;
    assert_eq!(status, 200, "{body}");
    admits(cluster.gateway(0), "third", 4).await;
    restart_all(&mut cluster).await;
    for (round, gateway) in cluster.gateways().iter().enumerate() {
        gateway.wait_ready().await.unwrap();
        admits(gateway, &format!("restarted-{round}"), 4).await;
    }
}
