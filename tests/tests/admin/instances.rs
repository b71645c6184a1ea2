//! An instance that is drained at one gateway gets calls from none.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::{Error, eventually};

use crate::{ask, cluster, restart_all};

/// Which instances answer so many calls; a random function, which the broker spreads.
async fn answering(gateway: &Gateway, calls: usize) -> BTreeSet<String> {
    let client = gateway.client().unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..calls {
        let (_, answer) = client
            .call("demo", "where_random", json!({}))
            .await
            .unwrap();
        assert!(answer.success, "{answer:?}");
        seen.insert(answer.result["instance"].as_str().unwrap().to_owned());
    }
    seen
}

async fn only(gateway: &Gateway, expected: &[&str]) {
    let what = format!("{expected:?} answer at {}", gateway.url());
    eventually(&what, || async {
        let seen = answering(gateway, 30).await;
        if seen.iter().eq(expected) {
            Ok(())
        } else {
            Err(Error::new(format!("{seen:?}")))
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_drained_instance_gets_calls_from_no_gateway_also_after_restarts() {
    let mut cluster = cluster().workers(2).await.unwrap();
    for gateway in cluster.gateways() {
        only(gateway, &["w0", "w1"]).await;
    }
    let set = async |gateway: &Gateway, instance: &str, drained: bool| {
        let path = format!("/v1/instances/demo/{instance}/drained");
        ask(gateway, Method::PUT, &path, json!({ "drained": drained })).await
    };
    assert_eq!(set(cluster.gateway(0), "w9", true).await.0, 404);
    let (status, body) = set(cluster.gateway(0), "w0", true).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        answering(cluster.gateway(0), 30).await,
        ["w1".to_owned()].into()
    );
    only(cluster.gateway(1), &["w1"]).await;
    restart_all(&mut cluster).await;
    for gateway in cluster.gateways() {
        gateway.wait_ready().await.unwrap();
        // Until it knows the workers again, calls are refused; w0 gets none of them.
        cluster
            .wait_served("demo", "where_random", &json!({}))
            .await
            .unwrap();
        assert_eq!(answering(gateway, 30).await, ["w1".to_owned()].into());
    }
    let path = "/v1/instances?drained=true";
    let (_, listed) = ask(cluster.gateway(1), Method::GET, path, Value::Null).await;
    assert_eq!(listed["total"], 1, "{listed}");
    assert_eq!(listed["instances"][0]["instance"], "w0", "{listed}");
    assert_eq!(listed["instances"][0]["live"], false, "{listed}");
    set(cluster.gateway(1), "w0", false).await;
    for gateway in cluster.gateways() {
        only(gateway, &["w0", "w1"]).await;
    }
}

#[tokio::test]
async fn a_sticky_key_is_told_and_forgotten() {
    let cluster = cluster()
        .gateways(1)
        .workers(2)
        .worker(|_, worker| worker.version("1.0.0"))
        .await
        .unwrap();
    let gateway = cluster.gateway(0);
    only(gateway, &["w0", "w1"]).await;
    let path = "/v1/functions/demo/where_sticky/sticky?version=1.0.0&key=a%20b";
    let look = || ask(gateway, Method::GET, path, Value::Null);
    assert_eq!(look().await.1, json!({"instance": null}));
    let client = gateway.client().unwrap();
    let args = json!({"key": "a b"});
    let (_, answer) = client.call("demo", "where_sticky", args).await.unwrap();
    assert_eq!(look().await.1["instance"], answer.result["instance"]);
    let (status, forgotten) = ask(gateway, Method::DELETE, path, Value::Null).await;
    assert_eq!((status, &forgotten["forgotten"]), (200, &json!(true)));
    assert_eq!(look().await.1, json!({"instance": null}));
}
