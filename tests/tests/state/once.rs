//! Idempotency keys over two gateways.

use reqwest::Method;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::{Client, Envelope};
use sluice_e2e::{Error, eventually};

use super::{cluster, redis_available};

async fn sleep(client: &Client, key: &str, ms: u64) -> Result<(u16, Envelope), Error> {
    let response = client
        .request(Method::POST, "/api/demo/sleep")
        .header("idempotency-key", key)
        .header("x-user-id", "u")
        .header("x-timeout-ms", "2000")
        .json(&json!({ "ms": ms }))
        .send()
        .await
        .map_err(|e| Error::because("sleep", e))?;
    let status = response.status().as_u16();
    let body = response
        .bytes()
        .await
        .map_err(|e| Error::because("sleep", e))?;
    Ok((status, Envelope::parse(&body)?))
}

/// How often the function began with this many milliseconds.
fn runs(cluster: &Cluster, ms: u64) -> usize {
    let wanted = format!("ms={ms}");
    let begun = |line: &str| line.contains("sleep begins") && line.contains(&wanted);
    (0..3)
        .map(|i| cluster.worker(i).process().log().count(begun))
        .sum()
}

#[tokio::test]
async fn a_repeated_request_runs_once_whichever_gateway_gets_it() {
    let cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let (status, ran) = sleep(&one, "k", 17).await.unwrap();
    assert_eq!((status, &ran.result), (200, &json!({ "slept": 17 })));
    for client in [&two, &one] {
        let (status, again) = sleep(client, "k", 17).await.unwrap();
        assert_eq!((status, &again.result), (200, &ran.result));
    }
    let (status, conflict) = sleep(&two, "k", 18).await.unwrap();
    assert_eq!((status, conflict.code()), (422, "idempotency_conflict"));
    let (status, _) = sleep(&two, "l", 19).await.unwrap();
    assert_eq!(status, 200);
    // The line of the last call is there, so those of earlier ones are.
    eventually("the last call's line", || async { runs(&cluster, 19) == 1 })
        .await
        .unwrap();
    assert_eq!((runs(&cluster, 17), runs(&cluster, 18)), (1, 0));
}

#[tokio::test]
async fn a_call_that_is_lost_with_its_gateway_does_not_run_again() {
    let cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let first = tokio::spawn(async move { sleep(&one, "k", 1999).await });
    eventually("the call runs", || async { runs(&cluster, 1999) == 1 })
        .await
        .unwrap();
    let (status, running) = sleep(&two, "k", 1999).await.unwrap();
    assert_eq!((status, running.code()), (409, "duplicate_request"));
    assert!(running.can_retry);
    cluster.gateway(0).process().kill9().unwrap();
    assert!(first.await.unwrap().is_err());
    // Until its time is up, and a grace.
    let (status, lost) = eventually("the call counts as lost", || async {
        match sleep(&two, "k", 1999).await? {
            (409, _) => Ok(None),
            other => Ok::<_, Error>(Some(other)),
        }
    })
    .await
    .unwrap();
    assert_eq!((status, lost.code()), (502, "worker_lost"), "{lost:?}");
    assert!(!lost.can_retry);
    assert_eq!(lost.details.unwrap()["executed"], "unknown");
    assert_eq!(runs(&cluster, 1999), 1);
}

#[tokio::test]
async fn without_redis_a_request_with_a_key_does_not_run() {
    let mut cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    cluster.redis_mut().unwrap().process().kill9().unwrap();
    redis_available(&cluster, false).await;
    let (status, refused) = sleep(&one, "k", 23).await.unwrap();
    assert_eq!(status, 503, "{refused:?}");
    assert!(refused.can_retry);
    assert_eq!(refused.details.as_ref().unwrap()["executed"], "no");
    cluster.redis_mut().unwrap().restart().await.unwrap();
    redis_available(&cluster, true).await;
    let (status, ran) = eventually("the call", || async {
        match sleep(&one, "k", 23).await? {
            (503, _) => Ok(None),
            other => Ok::<_, Error>(Some(other)),
        }
    })
    .await
    .unwrap();
    assert_eq!((status, &ran.result), (200, &json!({ "slept": 23 })));
    eventually("the call's line", || async { runs(&cluster, 23) >= 1 })
        .await
        .unwrap();
    assert_eq!(runs(&cluster, 23), 1);
}
