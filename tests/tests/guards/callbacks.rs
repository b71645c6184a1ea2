//! Permission callbacks: only `true` is yes, whatever happens.

use serde_json::json;
use sluice_e2e::eventually;

use crate::{call, cluster, known, worker};

#[tokio::test]
async fn only_true_opens_the_door() {
    let cluster = cluster(|g| g).await;
    let url = cluster.broker().url();
    let _shop = worker::start(&url, "shop", "s1");
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "secret").await;
    let mine = json!({"owner": "u1"});
    // Nobody to ask yet.
    let (status, denied) = call(&client, "secret", mine.clone()).await;
    assert_eq!(
        (status, denied.code()),
        (403, "permission_denied"),
        "{denied:?}"
    );
    let guard = worker::start(&url, "guard", "g1");
    eventually("the callback is there", || async {
        call(&client, "secret", mine.clone()).await.1.success
    })
    .await
    .unwrap();
    for args in [
        json!({"owner": "u2"}),
        json!({"owner": "odd"}),
        json!({"owner": null}),
        json!({}),
    ] {
        let (status, denied) = call(&client, "secret", args.clone()).await;
        assert_eq!(
            (status, denied.code()),
            (403, "permission_denied"),
            "{args}: {denied:?}"
        );
    }
    let (_, denied) = call(&client, "orphan", mine.clone()).await;
    assert_eq!(denied.code(), "permission_denied", "{denied:?}");
    guard.kill9().unwrap();
    guard.wait_exit().await.unwrap();
    let (status, denied) = call(&client, "secret", mine).await;
    assert_eq!(
        (status, denied.code()),
        (403, "permission_denied"),
        "{denied:?}"
    );
    assert_eq!(
        denied.error, "you may not call shop.secret",
        "the same words for every reason"
    );
}
