//! Four gateways, real Redis, real time: whatever they do at once, no window is over its limit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::{Cmd, FromRedisValue, Script, Value};
use tokio::task::JoinSet;

use crate::config::KeyLayout;
use crate::limiter::redis::{Link, RedisStore};
use crate::limiter::store::Store;
use crate::limiter::testing::demand;
use crate::redis_link::RedisLink;
use crate::redis_link::testing::TestRedis;

const GATEWAYS: u64 = 4;

/// A way to Redis on which what is taken back comes late, often after its window.
#[derive(Debug)]
struct Late {
    link: RedisLink,
    refund: Script,
    random: Mutex<StdRng>,
    window_ms: u64,
    /// The log of interest, and when it was asked last, on Redis' clock.
    log: Arc<Mutex<(String, u64)>>,
}

impl Link for Late {
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>> {
        async move {
            if script.get_hash() == self.refund.get_hash() {
                let late = self.random.lock().random_range(0..2 * self.window_ms);
                tokio::time::sleep(Duration::from_millis(late)).await;
            }
            let reply = Link::invoke(&self.link, script, keys, args).await?;
            let mut log = self.log.lock();
            if keys.get(1) == Some(&log.0.as_str()) {
                let bytes = Vec::<u8>::from_redis_value(reply.clone()).unwrap();
                let (time, _) = bytes[8..].split_first_chunk().unwrap();
                log.1 = f64::from_le_bytes(*time) as u64;
            }
            Ok(reply)
        }
        .boxed()
    }

    fn query<'a>(&'a self, command: &'a Cmd) -> BoxFuture<'a, Result<Value, String>> {
        Link::query(&self.link, command)
    }
}

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
            let log = Arc::new(Mutex::new((String::new(), 0)));
            let late = Late {
                link,
                refund: Script::new(include_str!("../refund.lua")),
                random: Mutex::new(random.clone()),
                window_ms,
                log: log.clone(),
            };
            let store = RedisStore::new(late, "sluice", layout);
            let mine = demand(&format!("race-{seed}"), 1, max, window_ms);
            log.lock().0 = store.key(&mine);
            // Another one beside it, which refuses now and then: what is taken back counts too.
            let other = demand(&format!("other-{seed}"), 1, max.div_ceil(2), window_ms / 2);
            for _ in 0..150 {
                let demands = match random.random_range(0..3) {
                    0 => vec![mine.clone(), other.clone()],
                    _ => vec![mine.clone()],
                };
                // Where keys are spread, each limit has its own time.
                let (calls, is_spread) = match layout {
                    KeyLayout::One => (random.random_range(1..6), false),
                    KeyLayout::Spread => (1, true),
                };
                for verdict in join_all((0..calls).map(|_| store.check(&demands))).await {
                    let verdict = verdict.unwrap();
                    if verdict.outcomes.iter().all(|o| o.fits) {
                        let now = if is_spread { log.lock().1 } else { verdict.now };
                        admitted.lock().push(now);
                    }
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

async fn races(layout: KeyLayout) {
    let redis = TestRedis::start();
    let first = rand::random::<u64>() >> 16;
    println!("seeds from {first}");
    for seed in first..first + 6 {
        race(&redis, seed, layout).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_is_over_its_limit_however_calls_are_spread_over_gateways() {
    races(KeyLayout::One).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_is_over_its_limit_where_keys_are_spread_and_refunds_are_late() {
    races(KeyLayout::Spread).await;
}
