//! Redis goes away under load: each policy does what it says, and nobody waits for Redis twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{client_of, echo, per_user};

const POLICIES: [&str; 3] = ["fail_open", "fail_closed", "local"];
const TIMEOUT: Duration = Duration::from_secs(2);
const TASKS: usize = 4;

/// Gateway `i` has policy `i`.
async fn cluster(max_requests: u32) -> Cluster {
    let limits = per_user(max_requests);
    Cluster::start(BrokerKind::Embedded)
        .gateways(POLICIES.len())
        .redis()
        .gateway(move |i, gateway| {
            gateway
                .option("limits", "on_failure", POLICIES[i])
                .option("redis", "timeout_ms", TIMEOUT.as_millis() as u64)
                .toml(&limits)
        })
        .await
        .unwrap()
}

/// What became of the calls of one gateway.
#[derive(Debug, Default)]
struct Seen {
    codes: BTreeMap<String, u64>,
    /// Calls that took as long as Redis may take, or longer.
    waited: usize,
}

/// Calls by a few tasks, each of them until `calls` are answered and `stop` is set.
async fn load(gateway: &Gateway, calls: usize, stop: Arc<AtomicBool>) -> JoinSet<Seen> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = client_of(gateway, &format!("u{task}"));
        let stop = stop.clone();
        tasks.spawn(async move {
            let mut seen = Seen::default();
            let mut done = 0;
            while done < calls || !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = echo(&client).await;
                seen.waited += usize::from(begun.elapsed() >= TIMEOUT);
                let code = if answer.success { "ok" } else { answer.code() };
                *seen.codes.entry(code.to_owned()).or_default() += 1;
                done += 1;
                tokio::task::yield_now().await;
            }
            seen
        });
    }
    tasks
}

async fn join(mut tasks: JoinSet<Seen>) -> Seen {
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen.unwrap();
        all.waited += seen.waited;
        for (code, n) in seen.codes {
            *all.codes.entry(code).or_default() += n;
        }
    }
    all
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_wait_and_then_nothing() {
    let mut cluster = cluster(1_000_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut loads = Vec::new();
    for gateway in cluster.gateways() {
        loads.push(load(gateway, 100, stop.clone()).await);
    }
    // All three are under way, and Redis counts.
    let closed = client_of(cluster.gateway(1), "probe");
    assert!(echo(&closed).await.success);
    cluster
        .redis_mut()
        .unwrap()
        .process()
        .freeze()
        .await
        .unwrap();
    eventually("Redis counts as away", || async {
        match echo(&closed).await {
            answer if answer.code() == "limiter_unavailable" => Ok(()),
            answer => Err(Error::new(format!("{answer:?}"))),
        }
    })
    .await
    .unwrap();
    // Many more calls meanwhile, none of which waits.
    for _ in 0..50 {
        assert_eq!(echo(&closed).await.code(), "limiter_unavailable");
    }
    cluster.redis_mut().unwrap().process().thaw().unwrap();
    eventually("Redis counts again", || async {
        match echo(&closed).await {
            answer if answer.success => Ok(()),
            answer => Err(Error::new(format!("{answer:?}"))),
        }
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for (policy, tasks) in POLICIES.iter().zip(loads) {
        let seen = join(tasks).await;
        let known = ["ok", "limiter_unavailable"];
        let total: u64 = seen.codes.values().sum();
        assert!(
            seen.codes.keys().all(|c| known.contains(&c.as_str())),
            "{policy}: {seen:?}"
        );
        // Each task had one call under way when Redis stopped; a busy machine may add some.
        assert!(seen.waited <= 2 * TASKS, "{policy}: {seen:?}");
        assert!(total >= 100 * TASKS as u64, "{policy}: {seen:?}");
        let refused = seen.codes.contains_key("limiter_unavailable");
        assert_eq!(refused, *policy == "fail_closed", "{policy}: {seen:?}");
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_is_replaced_by_the_policy_and_comes_back_by_itself() {
    let mut cluster = cluster(9).await;
    for (i, policy) in POLICIES.iter().enumerate() {
        assert!(echo(&client_of(cluster.gateway(i), policy)).await.success);
    }
    cluster.redis_mut().unwrap().process().kill9().unwrap();
    cluster
        .redis_mut()
        .unwrap()
        .process()
        .wait_exit()
        .await
        .unwrap();
    let mut seen = Vec::new();
    for i in 0..POLICIES.len() {
        let client = client_of(cluster.gateway(i), "u");
        let mut ok = 0;
        let mut codes = BTreeMap::new();
        for _ in 0..20 {
            let answer = echo(&client).await;
            match answer.success {
                true => ok += 1,
                false => *codes.entry(answer.code().to_owned()).or_insert(0) += 1,
            }
        }
        seen.push((ok, codes));
    }
    let only = |code: &str, n| BTreeMap::from([(code.to_owned(), n)]);
    assert_eq!(seen[0], (20, BTreeMap::new()));
    assert_eq!(seen[1], (0, only("limiter_unavailable", 20)));
    // 9 by 3 gateways, which may not have heard of each other yet: 3 to 9 for this one.
    let (ok, codes) = &seen[2];
    assert!((3..=9).contains(ok), "{codes:?}");
    assert_eq!(*codes, only("rate_limited", 20 - ok));
    cluster.redis_mut().unwrap().restart().await.unwrap();
    for i in 0..POLICIES.len() {
        let client = client_of(cluster.gateway(i), "after");
        let served = async || -> sluice_e2e::Result<bool> {
            let request = client.request(reqwest::Method::POST, "/api/demo/echo");
            let response = request.json(&json!({"message": "x"})).send().await;
            let response = response.map_err(|e| Error::because("echo", e))?;
            Ok(response.status() == 200 && response.headers().contains_key("ratelimit"))
        };
        eventually("it counts again", || async {
            match served().await? {
                true => Ok(()),
                false => Err(Error::new("it does not count")),
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_counts_as_away_and_forgotten_scripts_as_nothing() {
    let mut cluster = cluster(1_000_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut loads = Vec::new();
    for gateway in cluster.gateways() {
        loads.push(load(gateway, 100, stop.clone()).await);
    }
    let probe = client_of(cluster.gateway(1), "probe");
    for _ in 0..20 {
        let redis = cluster.redis_mut().unwrap();
        redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
        assert!(echo(&probe).await.success, "it is loaded again");
    }
    // A replica of nobody: it answers, and refuses what changes anything.
    let redis = cluster.redis_mut().unwrap();
    redis
        .command(&["REPLICAOF", "127.0.0.1", "1"])
        .await
        .unwrap();
    for expected in ["limiter_unavailable", ""] {
        eventually("it is noticed", || async {
            match echo(&probe).await {
                answer if answer.code() == expected => Ok(()),
                answer => Err(Error::new(format!("{answer:?}"))),
            }
        })
        .await
        .unwrap();
        if !expected.is_empty() {
            let redis = cluster.redis_mut().unwrap();
            redis.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for (policy, tasks) in POLICIES.iter().zip(loads) {
        let seen = join(tasks).await;
        let known = ["ok", "limiter_unavailable"];
        let codes = || seen.codes.keys();
        assert!(
            codes().all(|c| known.contains(&c.as_str())),
            "{policy}: {seen:?}"
        );
        // It answers at once, so that nobody waits; a busy machine may hold some up.
        assert!(seen.waited <= 2 * TASKS, "{policy}: {seen:?}");
        let refused = seen.codes.contains_key("limiter_unavailable");
        assert!(!refused || *policy == "fail_closed", "{policy}: {seen:?}");
    }
}
