//! Four gateways, real Redis, real time: whatever they do at once, no window is over its limit.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::config::KeyLayout;
use crate::limiter::redis::RedisStore;
use crate::limiter::store::Store;
use crate::limiter::testing::demand;
use crate::redis_link::testing::TestRedis;

const GATEWAYS: u64 = 4;

async fn race(redis: &TestRedis, seed: u64, layout: KeyLayout) {
    let mut random = StdRng::seed_from_u64(seed);
    let window_ms = random.random_range(50..400_u64);
    let max = match random.random_range(0..2) {
        0 => random.random_range(1..20),
        _ => random.random_range(130..400),
    };
    let admitted = Arc::new(Mutex::new(Vec::new()));
    let mut gateways = JoinSet::new();
    for gateway in 0..GATEWAYS {
        let link = redis.link().await;
        let admitted = admitted.clone();
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(gateway));
        gateways.spawn(async move {
            let store = RedisStore::new(link, "sluice", layout);
            let mine = demand(&format!("race-{seed}"), 1, max, window_ms);
            // Another one beside it, which refuses now and then: what is taken back counts too.
            let other = demand(&format!("other-{seed}"), 1, max.div_ceil(2), window_ms / 2);
            for _ in 0..150 {
                let demands = match random.random_range(0..3) {
                    0 => vec![mine.clone(), other.clone()],
                    _ => vec![mine.clone()],
                };
                let verdict = store.check(&demands).await.unwrap();
                if verdict.outcomes.iter().all(|o| o.fits) {
                    admitted.lock().push(verdict.now);
                }
                if random.random_range(0..4) == 0 {
                    let pause = random.random_range(0..window_ms / 4);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        });
    }
    while let Some(ended) = gateways.join_next().await {
        ended.unwrap();
    }
    let mut times = admitted.lock().clone();
    times.sort_unstable();
    assert!(
        times.len() >= usize::try_from(max.min(20)).unwrap(),
        "seed {seed}"
    );
    // No window, wherever it begins, has more than `max`: the one that comes `max` later is
    // outside of the window that begins with this one.
    let ahead = usize::try_from(max).unwrap();
    for pair in times.windows(ahead + 1) {
        let span = pair[ahead] - pair[0];
        assert!(
            span >= window_ms * 1000,
            "seed {seed}: {} within {span} of {window_ms} ms",
            ahead + 1
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_is_over_its_limit_however_calls_are_spread_over_gateways() {
    let redis = TestRedis::start();
    let first = rand::random::<u64>() >> 16;
    println!("seeds from {first}");
    for seed in first..first + 6 {
        race(&redis, seed, KeyLayout::One).await;
    }
}
