//! Four gateways and random schedules: no window has too many, and who stays below is let through.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::{Client, Envelope};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::{client_of, cluster};

const GATEWAYS: usize = 4;
const WINDOW: Duration = Duration::from_secs(2);
/// Limits of functions: one that is counted exactly, and one that is counted in groups.
const SIZES: [(&str, usize); 2] = [("echo", 20), ("whoami", 200)];

async fn four() -> Arc<Cluster> {
    let limits = SIZES.map(|(name, max)| {
        format!(
            "[[limit]]\nname = \"{name}\"\nservice = \"demo\"\nfunction = \"{name}\"\n\
             key = \"user_id\"\nmax_requests = {max}\nwindow_ms = {}\n",
            WINDOW.as_millis()
        )
    });
    Arc::new(cluster(limits.concat()).gateways(GATEWAYS).await.unwrap())
}

/// An admitted call: when it was asked for, and when it was known.
type Admitted = (Instant, Instant);

async fn call(client: &Client, function: &str) -> Envelope {
    let args = match function {
        "echo" => json!({"message": "x"}),
        _ => json!({}),
    };
    client.call("demo", function, args).await.unwrap().1
}

/// Calls through any gateway, in bursts and pauses.
async fn wild(cluster: Arc<Cluster>, function: &str, seed: u64, until: Instant) -> Vec<Admitted> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut admitted = Vec::new();
    let clients: Vec<_> = cluster
        .gateways()
        .iter()
        .map(|gateway| client_of(gateway, "wild"))
        .collect();
    while Instant::now() < until {
        let asked = Instant::now();
        let client = &clients[random.random_range(0..GATEWAYS)];
        let answer = call(client, function).await;
        if answer.success {
            admitted.push((asked, Instant::now()));
        } else {
            assert_eq!(answer.code(), "rate_limited", "seed {seed}: {answer:?}");
        }
        if random.random_range(0..8) == 0 {
            sleep(Duration::from_millis(random.random_range(0..300))).await;
        }
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_has_more_than_the_limit_over_four_gateways() {
    let cluster = four().await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let until = Instant::now() + WINDOW * 4;
    let mut tasks = JoinSet::new();
    for (size, (function, _)) in SIZES.into_iter().enumerate() {
        for i in 0..4 {
            let (cluster, seed) = (cluster.clone(), seed.wrapping_add(4 * size as u64 + i));
            tasks.spawn(async move { (size, wild(cluster, function, seed, until).await) });
        }
    }
    let mut admitted = [const { Vec::new() }; SIZES.len()];
    while let Some(ended) = tasks.join_next().await {
        let (size, seen) = ended.unwrap();
        admitted[size].extend(seen);
    }
    assert!(
        admitted[0].len() > SIZES[0].1,
        "seed {seed}: the limit was reached"
    );
    // Each was counted between its two times: those that began after one and ended before its
    // window was over were surely within one window.
    for ((name, max), admitted) in SIZES.into_iter().zip(&admitted) {
        for (begin, _) in admitted {
            let within = admitted
                .iter()
                .filter(|(asked, known)| asked >= begin && *known < *begin + WINDOW);
            let count = within.count();
            assert!(count <= max, "seed {seed}: {name}: {count} in one window");
        }
    }
}

#[tokio::test]
async fn who_stays_at_nine_tenths_is_never_refused_over_four_gateways() {
    let cluster = four().await;
    let mut tasks = JoinSet::new();
    for (name, max) in SIZES {
        let cluster = cluster.clone();
        tasks.spawn(async move {
            let pause = WINDOW.mul_f64(1.0 / (0.9 * max as f64));
            let mut calls = 0;
            let begun = Instant::now();
            while begun.elapsed() < WINDOW * 3 {
                let client = client_of(cluster.gateway(calls % GATEWAYS), "steady");
                let answer = call(&client, name).await;
                assert!(answer.success, "{name}: call {calls}: {answer:?}");
                calls += 1;
                // After the answer: two calls are counted with at least this between them,
                // however busy the machine is.
                sleep(pause).await;
            }
            assert!(calls > 3, "{name}");
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
