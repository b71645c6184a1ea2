//! Hooks that change, refuse, hang, panic and are killed.

use serde_json::json;
use sluice_e2e::eventually;

use crate::{call, cluster, known, worker};

#[tokio::test]
async fn a_before_hook_changes_args_or_refuses() {
    let cluster = cluster(|g| g).await;
    let url = cluster.broker().url();
    let _workers = [
        worker::start(&url, "shop", "s1"),
        worker::start(&url, "guard", "g1"),
    ];
    let client = cluster.gateway(0).client().unwrap();
    eventually("the hook is there", || async {
        call(&client, "order", json!({"count": 1})).await.1.success
    })
    .await
    .unwrap();
    let (_, changed) = call(&client, "order", json!({"count": 1, "hook": "change"})).await;
    assert_eq!(changed.result, json!({"ordered": 9}), "{changed:?}");
    // What is wrong before and after the hook is told as if there was none.
    let (status, spoilt) = call(&client, "order", json!({"hook": "spoil"})).await;
    assert_eq!(
        (status, spoilt.code()),
        (422, "invalid_arguments"),
        "{spoilt:?}"
    );
    for (hook, text) in [
        ("refuse", "over quota"),
        ("panic", "before hook"),
        ("odd", "did not allow"),
    ] {
        let (status, refused) = call(&client, "order", json!({"count": 1, "hook": hook})).await;
        assert_eq!(
            (status, refused.code()),
            (403, "hook_rejected"),
            "{hook}: {refused:?}"
        );
        assert!(refused.error.contains(text), "{hook}: {refused:?}");
        assert_eq!(refused.details.unwrap()["executed"], "no");
    }
    let (status, gone) = client.call("guard", "before", json!({})).await.unwrap();
    assert_eq!(
        (status, gone.code()),
        (404, "unknown_function"),
        "it is internal"
    );
}

#[tokio::test]
async fn a_hook_that_hangs_or_is_killed_refuses() {
    let cluster = cluster(|g| g).await;
    let url = cluster.broker().url();
    let _shop = worker::start(&url, "shop", "s1");
    let guard = worker::start(&url, "guard", "g1");
    let client = cluster.gateway(0).client().unwrap();
    eventually("the hook is there", || async {
        call(&client, "impatient", json!({})).await.1.success
    })
    .await
    .unwrap();
    let (status, refused) = call(&client, "impatient", json!({"hook": "hang"})).await;
    assert_eq!(
        (status, refused.code()),
        (403, "hook_rejected"),
        "{refused:?}"
    );
    assert!(refused.can_retry, "{refused:?}");
    // The long hook of `order` is held by a worker that dies.
    let held = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "order", json!({"count": 1, "hook": "hang"})).await }
    });
    eventually("both hooks hang", || async {
        guard.log().count(|line| line.contains("the hook hangs")) == 2
    })
    .await
    .unwrap();
    guard.kill9().unwrap();
    let (status, refused) = held.await.unwrap();
    assert_eq!(
        (status, refused.code()),
        (403, "hook_rejected"),
        "{refused:?}"
    );
    // Nobody left to ask: still closed.
    let (status, refused) = call(&client, "order", json!({"count": 1})).await;
    assert_eq!(
        (status, refused.code()),
        (403, "hook_rejected"),
        "{refused:?}"
    );
    assert!(
        !refused.error.contains("guard"),
        "its name is nobody's business: {refused:?}"
    );
    let _again = worker::start(&url, "guard", "g2");
    eventually("the hook is back", || async {
        call(&client, "order", json!({"count": 1})).await.1.success
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_after_hook_changes_a_result_and_its_loss_changes_nothing() {
    let cluster = cluster(|g| g).await;
    let url = cluster.broker().url();
    let _shop = worker::start(&url, "shop", "s1");
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "audited").await;
    let (_, plain) = call(&client, "audited", json!({"n": 1})).await;
    assert_eq!(plain.result, json!({"n": 1}), "{plain:?}");
    let _guard = worker::start(&url, "guard", "g1");
    eventually("the hook takes part", || async {
        let (_, envelope) = call(&client, "audited", json!({"n": 1})).await;
        envelope.result == json!({"phase": "after", "was": {"n": 1}})
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_after_hook_hears_how_an_async_call_ended() {
    let cluster = cluster(|g| g).await;
    let url = cluster.broker().url();
    let _workers = [
        worker::start(&url, "shop", "s1"),
        worker::start(&url, "guard", "g1"),
    ];
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "report").await;
    eventually("guard is served", || async {
        client
            .call("guard", "seen", json!({}))
            .await
            .unwrap()
            .1
            .success
    })
    .await
    .unwrap();
    let (status, ack) = call(&client, "report", json!({"n": 7})).await;
    assert_eq!((status, ack.is_async), (202, true), "{ack:?}");
    eventually("the outcome was told", || async {
        let (_, seen) = client.call("guard", "seen", json!({})).await.unwrap();
        let seen = seen.result.as_array().cloned().unwrap_or_default();
        seen.iter()
            .any(|r| r["success"] == true && r["result"] == json!({"n": 7}))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_gateway_that_drains_waits_for_after_hooks() {
    let cluster = cluster(|g| g.option("gateway", "drain_delay_ms", 0)).await;
    let url = cluster.broker().url();
    let (_shop, guard) = (
        worker::start(&url, "shop", "s1"),
        worker::start(&url, "guard", "g1"),
    );
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "failing").await;
    eventually("guard is served", || async {
        let answer = client.call("guard", "seen", json!({})).await;
        answer.unwrap().1.success
    })
    .await
    .unwrap();
    // Answered at once: nobody waits for the hook but the gateway itself.
    let (_, answer) = call(&client, "failing", json!({})).await;
    assert_eq!(answer.code(), "failing", "{answer:?}");
    guard
        .wait_line("the hook was asked", |line| {
            line.contains("the hook begins")
        })
        .await
        .unwrap();
    let gateway = cluster.gateway(0).process();
    gateway.terminate().unwrap();
    gateway.wait_exit().await.unwrap();
    let ended = guard.log().count(|line| line.contains("the hook ends"));
    assert!(ended > 0, "{}", guard.log().tail(20));
}
