//! Limits that change while gateways run.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::Client;
use sluice_e2e::{Error, eventually};

use crate::{client_of, cluster, echo, per_user};

/// Changes a limit as a gateway does: the text by name, then the generation.
async fn change(cluster: &mut Cluster, name: &str, change: &Value) {
    let redis = cluster.redis_mut().unwrap();
    let text = change.to_string();
    redis
        .command(&["HSET", "{sluice:limits}:rules", name, &text])
        .await
        .unwrap();
    redis
        .command(&["INCR", "{sluice:limits}:generation"])
        .await
        .unwrap();
}

async fn wait_names(cluster: &Cluster, names: &[&str]) {
    for gateway in cluster.gateways() {
        let admin = Client::new(gateway.admin_url()).unwrap();
        eventually("the limits are known", || async {
            let response = admin.get("/v1/limits").send().await;
            let list: Value = match response {
                Ok(response) => response.json().await.unwrap_or_default(),
                Err(error) => return Err(Error::because("GET /v1/limits", error)),
            };
            let all = list["limits"].as_array().cloned().unwrap_or_default();
            let known: Vec<&str> = all
                .iter()
                .filter_map(|l| l["limit"]["name"].as_str())
                .collect();
            match known == names {
                true => Ok(()),
                false => Err(Error::new(format!("{known:?}, not {names:?}"))),
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_change_reaches_every_gateway_and_outlives_them() {
    let mut cluster = cluster(per_user(1000)).await.unwrap();
    wait_names(&cluster, &["per-user"]).await;
    let added = json!({"epoch": 0, "limit": {
        "name": "strict", "key": "user_id", "max_requests": 1, "window_ms": 600_000,
    }});
    change(&mut cluster, "strict", &added).await;
    wait_names(&cluster, &["per-user", "strict"]).await;
    assert!(echo(&client_of(cluster.gateway(0), "u")).await.success);
    let refused = echo(&client_of(cluster.gateway(1), "u")).await;
    assert_eq!(refused.details.unwrap()["limit"], "strict");
    // A gateway that starts knows it.
    let mut gateways = std::mem::take(cluster.gateways_mut());
    gateways[0].restart().await.unwrap();
    gateways[0].wait_ready().await.unwrap();
    *cluster.gateways_mut() = gateways;
    wait_names(&cluster, &["per-user", "strict"]).await;
    let client = client_of(cluster.gateway(0), "u");
    eventually("it still refuses", || async {
        match echo(&client).await {
            answer if answer.code() == "rate_limited" => Ok(()),
            answer => Err(Error::new(format!("{answer:?}"))),
        }
    })
    .await
    .unwrap();
    let removed = json!({"epoch": 1, "limit": null});
    change(&mut cluster, "strict", &removed).await;
    wait_names(&cluster, &["per-user"]).await;
    assert!(echo(&client_of(cluster.gateway(0), "u")).await.success);
}

#[tokio::test]
async fn scripts_may_be_flushed_at_any_time() {
    let mut cluster = cluster(per_user(100_000)).await.unwrap();
    let targets: Vec<_> = cluster.gateways().iter().map(|g| g.address()).collect();
    let load = sluice_e2e::load::Load::on(targets, "demo", "echo").start();
    for i in 1..=5 {
        load.wait_ok(50 * i).await.unwrap();
        let redis = cluster.redis_mut().unwrap();
        redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    }
    load.wait_ok(400).await.unwrap();
    let report = load.stop().await;
    report.assert_all_answered();
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(report.slowest < Duration::from_secs(20), "{report:?}");
}
