//! A version that is switched off at one gateway is off at all of them, and stays so.

use reqwest::Method;
use serde_json::json;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::{Error, eventually};

use crate::{answers, ask, cluster, echo, restart_all, two_versions};

const PATH: &str = "/v1/functions/demo/echo/disabled?version=1.0.0";

#[tokio::test]
async fn a_version_disabled_at_one_gateway_is_off_at_all_and_after_restarts() {
    let mut cluster = two_versions().await;
    let (status, body) = ask(
        cluster.gateway(0),
        Method::PUT,
        PATH,
        json!({"disabled": true}),
    )
    .await;
    assert_eq!((status, &body["known"]), (200, &json!(true)), "{body}");
    assert_eq!(
        echo(cluster.gateway(0), Some("1.0.0")).await.code(),
        "function_disabled",
        "in force when the answer comes"
    );
    answers(cluster.gateway(1), Some("1.0.0"), "function_disabled").await;
    answers(cluster.gateway(1), Some("1.1.0"), "").await;

    // Workers and gateways come anew; the operator's word stands.
    cluster.workers_mut()[0].restart().unwrap();
    restart_all(&mut cluster).await;
    for gateway in cluster.gateways() {
        gateway.wait_ready().await.unwrap();
        never_served(gateway).await;
    }
    ask(
        cluster.gateway(1),
        Method::PUT,
        PATH,
        json!({"disabled": false}),
    )
    .await;
    for gateway in cluster.gateways() {
        answers(gateway, Some("1.0.0"), "").await;
    }
    let (_, audit) = ask(cluster.gateway(1), Method::GET, "/v1/audit", json!(null)).await;
    let entry = &audit["entries"][0];
    assert_eq!(entry["operator"], "ann", "{audit}");
    assert_eq!(entry["target"], "disabled demo.echo 1.0.0", "{audit}");
    assert_eq!(entry["before"]["by"], "ann", "{audit}");
}

/// From the first call on, until the worker is known again.
async fn never_served(gateway: &Gateway) {
    eventually("the version is known and disabled", || async {
        let answer = echo(gateway, Some("1.0.0")).await;
        assert!(!answer.success, "served, though disabled");
        match answer.code() {
            "function_disabled" => Ok(()),
            code => Err(Error::new(code.to_owned())),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_redis_that_forgets_is_told_again_by_the_gateways() {
    let mut cluster = cluster()
        .worker(|_, worker| worker.version("1.0.0"))
        .await
        .unwrap();
    ask(
        cluster.gateway(0),
        Method::PUT,
        PATH,
        json!({"disabled": true}),
    )
    .await;
    answers(cluster.gateway(1), Some("1.0.0"), "function_disabled").await;
    cluster.redis_mut().unwrap().restart().await.unwrap();
    // A gateway that knew nothing learns it from Redis, which the other one has told.
    let second = &mut cluster.gateways_mut()[1];
    second.process().kill9().unwrap();
    second.restart().await.unwrap();
    second.wait_ready().await.unwrap();
    answers(cluster.gateway(1), Some("1.0.0"), "function_disabled").await;
    answers(cluster.gateway(0), Some("1.0.0"), "function_disabled").await;
}
