//! At most so many calls at once, and a bounded queue.

use serde_json::json;

use crate::{call, cluster, known, worker};

#[tokio::test]
async fn one_runs_one_waits_and_the_third_is_refused() {
    // More than one shard: the limit is the process's.
    let cluster = cluster(|g| g.option("gateway", "shards", 2)).await;
    let url = cluster.broker().url();
    let shop = worker::start(&url, "shop", "s1");
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "narrow").await;
    let before = shop.log().count(|line| line.contains("narrow begins"));
    let spawn = |ms: u64| {
        // Connections of their own, so that both shards take part.
        let client = cluster.gateway(0).client().unwrap();
        tokio::spawn(async move { call(&client, "narrow", json!({ "ms": ms })).await })
    };
    let calls: Vec<_> = (0..6).map(|_| spawn(3000)).collect();
    let (mut served, mut refused) = (0, 0);
    for call in calls {
        let (status, envelope) = call.await.unwrap();
        match (status, envelope.code()) {
            (200, _) => served += 1,
            (503, "overloaded") => {
                assert!(envelope.can_retry);
                assert_eq!(envelope.details.unwrap()["executed"], "no");
                refused += 1;
            }
            _ => panic!("{status} {envelope:?}"),
        }
    }
    assert_eq!((served, refused), (2, 4));
    let ran = |line: &str| line.contains("narrow begins");
    assert_eq!(
        shop.log().count(ran),
        2 + before,
        "refused calls did not run"
    );
    let (_, again) = call(&client, "narrow", json!({"ms": 0})).await;
    assert!(again.success, "its place is free again: {again:?}");
}
