//! Redis killed, hung and restarted under calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;

use super::{cluster, redis_available};

async fn sticky(client: &Client, n: usize) -> u16 {
    let args = json!({ "key": format!("key-{n}") });
    client.call("demo", "where_sticky", args).await.unwrap().0
}

#[tokio::test]
async fn sticky_calls_go_on_while_redis_dies_and_comes_back() {
    let mut cluster = cluster().await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..2)
        .map(|i| {
            let client = cluster.gateway(i).client().unwrap();
            let (stop, answered) = (stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(sticky(&client, n % 50).await, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
            })
        })
        .collect();
    for _ in 0..2 {
        cluster.redis_mut().unwrap().process().kill9().unwrap();
        redis_available(&cluster, false).await;
        let before = answered.load(Ordering::Relaxed);
        sluice_e2e::eventually("calls without Redis", || async {
            Ok::<_, sluice_e2e::Error>(answered.load(Ordering::Relaxed) > before + 20)
        })
        .await
        .unwrap();
        for gateway in cluster.gateways() {
            assert!(
                gateway.is_ready().await,
                "a lost Redis takes nobody out of service"
            );
        }
        cluster.redis_mut().unwrap().restart().await.unwrap();
        redis_available(&cluster, true).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_hangs_is_given_up_and_found_again() {
    let mut cluster = Cluster::start(BrokerKind::Embedded)
        .redis()
        .gateway(|_, g| g.option("redis", "timeout_ms", 200))
        .await
        .unwrap();
    redis_available(&cluster, true).await;
    let client = cluster.gateway(0).client().unwrap();
    let redis = cluster.redis_mut().unwrap();
    redis.process().freeze().await.unwrap();
    for n in 0..50 {
        assert_eq!(sticky(&client, n).await, 200);
    }
    redis_available(&cluster, false).await;
    cluster.redis_mut().unwrap().process().thaw().unwrap();
    redis_available(&cluster, true).await;
}

#[tokio::test]
async fn a_gateway_starts_before_its_redis() {
    let mut cluster = Cluster::start(BrokerKind::Embedded).redis().await.unwrap();
    let redis = cluster.redis_mut().unwrap();
    redis.process().kill9().unwrap();
    redis.process().wait_exit().await.unwrap();
    cluster.gateways_mut()[0].restart().await.unwrap();
    cluster.gateway(0).wait_ready().await.unwrap();
    redis_available(&cluster, false).await;
    let client = cluster.gateway(0).client().unwrap();
    sluice_e2e::eventually("a call", || async {
        let (status, _) = client.call("demo", "echo", json!({"message": "m"})).await?;
        Ok::<_, sluice_e2e::Error>(status == 200)
    })
    .await
    .unwrap();
    cluster.redis_mut().unwrap().restart().await.unwrap();
    redis_available(&cluster, true).await;
}
