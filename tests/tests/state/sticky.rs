//! Sticky keys.

use serde_json::json;
use sluice_e2e::http::Client;
use sluice_e2e::{Error, eventually};

use super::cluster;

async fn owner(client: &Client, key: &str) -> String {
    let (status, told) = client
        .call("demo", "where_sticky", json!({ "key": key }))
        .await
        .unwrap();
    assert_eq!(status, 200, "{told:?}");
    told.result["instance"].as_str().unwrap().to_owned()
}

async fn all_known(client: &Client) {
    eventually("every instance is known", || async {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..6 {
            let (_, told) = client.call("demo", "where_round_robin", json!({})).await?;
            seen.insert(told.result["instance"].to_string());
        }
        Ok::<_, Error>(seen.len() == 3)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_key_stays_with_its_instance_whichever_gateway_is_asked() {
    let mut cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    all_known(&one).await;
    all_known(&two).await;

    // Bound by hand to an instance that no hash would pick for all of them: what both gateways
    // say comes from Redis, not from a rule that they share.
    let keys: Vec<String> = (0..30).map(|n| format!("key-{n}")).collect();
    for key in &keys {
        owner(&one, key).await;
    }
    let redis = cluster.redis_mut().unwrap();
    let bound = redis.command(&["KEYS", "sluice:sticky:*"]).await.unwrap();
    let bound = bound.as_array().unwrap().clone();
    assert_eq!(bound.len(), keys.len());
    for key in &bound {
        let key = key.as_str().unwrap();
        let left = redis.command(&["PTTL", key]).await.unwrap();
        assert!(left.as_i64().unwrap() > 0, "{key} lives for ever");
        redis
            .command(&["SET", key, "w1", "PX", "600000"])
            .await
            .unwrap();
    }
    for key in &keys {
        assert_eq!(owner(&one, key).await, "w1");
        assert_eq!(owner(&two, key).await, "w1");
    }

    // An instance that leaves: the gateways agree on its keys' new one.
    let leaving = cluster.workers_mut().remove(1);
    leaving.process().drain().await.unwrap();
    for key in &keys {
        let moved = owner(&two, key).await;
        assert_ne!(moved, "w1");
        assert_eq!(owner(&one, key).await, moved);
    }
}
