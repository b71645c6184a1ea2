//! Checks that go to Redis together: the same as one by one, and nobody suffers from the others.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::{Cmd, Script, Value};
use tokio::task::yield_now;

use crate::config::KeyLayout;
use crate::limiter::redis::{Link, RedisStore};
use crate::limiter::store::{Demand, Store};
use crate::limiter::testing::demand;
use crate::redis_link::RedisLink;
use crate::redis_link::testing::TestRedis;

use super::model::{Clocked, InRedis, in_shadow, seeds};
use super::redis::number;

/// Counts the runs of scripts.
#[derive(Debug, Clone)]
struct Counting {
    link: RedisLink,
    runs: Arc<AtomicUsize>,
}

impl Link for Counting {
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        Link::invoke(&self.link, script, keys, args)
    }

    fn query<'a>(&'a self, command: &'a Cmd) -> BoxFuture<'a, Result<Value, String>> {
        Link::query(&self.link, command)
    }
}

/// A store, and how often it ran a script since the last look.
async fn counted(redis: &TestRedis) -> (RedisStore<Counting>, impl Fn() -> usize) {
    let link = redis.link().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counting = Counting {
        link,
        runs: runs.clone(),
    };
    let store = RedisStore::new(counting, "sluice", KeyLayout::One);
    (store, move || runs.swap(0, Ordering::Relaxed))
}

#[tokio::test]
async fn checks_of_one_moment_share_a_run_and_each_has_its_own_verdict() {
    let redis = TestRedis::start();
    let (store, runs) = counted(&redis).await;
    for (calls, expected) in [(1, 1), (2, 1), (32, 1), (33, 2), (100, 4)] {
        let mine = [demand(&format!("of-{calls}"), 1, calls - 1, 60_000)];
        let verdicts = join_all((0..calls).map(|_| store.check(&mine))).await;
        assert_eq!(runs(), expected, "{calls} calls");
        let outcomes = verdicts.into_iter().map(|v| v.unwrap().outcomes[0]);
        let (fit, over): (Vec<_>, Vec<_>) = outcomes.partition(|o| o.fits);
        let used: HashSet<u64> = fit.iter().map(|o| o.used).collect();
        assert_eq!(used, (1..u64::from(calls)).collect(), "{calls} calls");
        assert_eq!(over.len(), 1, "{calls} calls");
    }
    // Calls of many limits are fewer in a run; one alone may have as many as it likes.
    let many = |names: u32| -> Vec<Demand> {
        let names = 0..names;
        names
            .map(|n| demand(&format!("n{n}"), 1, 9, 60_000))
            .collect()
    };
    let (half, more) = (many(60), many(300));
    join_all((0..4).map(|_| store.check(&half))).await;
    assert_eq!(runs(), 2);
    let verdict = store.check(&more).await.unwrap();
    let used: Vec<u64> = verdict.outcomes.iter().map(|o| o.used).collect();
    assert_eq!(used, [vec![5; 60], vec![1; 240]].concat());
}

#[tokio::test]
async fn a_check_that_comes_with_the_next_look_at_the_sockets_shares_the_run() {
    let redis = TestRedis::start();
    let (store, runs) = counted(&redis).await;
    let mine = [demand("looks", 1, 9, 60_000)];
    let later = async {
        // Resumes once the runtime has looked at what its sockets have.
        yield_now().await;
        store.check(&mine).await
    };
    let (first, second) = tokio::join!(store.check(&mine), later);
    let used = [first, second].map(|verdict| verdict.unwrap().outcomes[0].used);
    assert_eq!((used, runs()), ([1, 2], 1));
}

#[tokio::test]
async fn together_or_one_by_one_is_the_same() {
    let redis = InRedis::start().await;
    for seed in seeds(12) {
        let mut random = StdRng::seed_from_u64(seed);
        // Two of each limit: one for calls that go together, one for calls that go alone.
        let limits: Vec<[Demand; 2]> = (0..4)
            .map(|i| {
                let max = [random.random_range(1..20), random.random_range(130..2000)];
                let max = max[random.random_range(0..2)];
                let cost = random.random_range(1..=max / 4 + 1);
                let is_shadow = random.random_range(0..5) == 0;
                ["together", "alone"].map(|way| {
                    let mut demand = demand(&format!("{way}-{seed}-{i}"), 1, max, 60_000);
                    demand.cost = cost;
                    if is_shadow { in_shadow(demand) } else { demand }
                })
            })
            .collect();
        for step in 0..40 {
            redis.pass(random.random_range(0..20_000_000)).await;
            let calls: Vec<Vec<&[Demand; 2]>> = (0..random.random_range(1..40))
                .map(|_| {
                    let some = limits.iter().filter(|_| random.random_range(0..2) == 0);
                    some.collect()
                })
                .collect();
            let asked = |way: usize| -> Vec<Vec<Demand>> {
                let of = |call: &Vec<&[Demand; 2]>| call.iter().map(|l| l[way].clone()).collect();
                calls.iter().map(of).collect()
            };
            let together = asked(0);
            let together = join_all(together.iter().map(|call| redis.store.check(call))).await;
            for (verdict, call) in together.into_iter().zip(asked(1)) {
                let alone = redis.store.check(&call).await.unwrap();
                assert_eq!(verdict.unwrap(), alone, "seed {seed}, step {step}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_log_begins_anew_and_hurts_nobody() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let store = RedisStore::new(link.clone(), "sluice", KeyLayout::One);
    let calls = [1, 2, 3, 4].map(|key| [demand("a", key, 5, 60_000)]);
    let key = |i: usize| store.key(&calls[i][0]);
    let (short, long) = ("x".to_owned(), "y".repeat(45));
    for words in [
        ["SET", &key(0), &short],
        ["SET", &key(1), &long],
        ["LPUSH", &key(2), "z"],
    ] {
        let mut command = Cmd::new();
        let _: Value = link.query(command.arg(&words[..])).await.unwrap();
    }
    for used in 1..=2 {
        for verdict in join_all(calls.iter().map(|call| store.check(call))).await {
            assert_eq!(verdict.unwrap().outcomes[0].used, used);
        }
    }
}

#[tokio::test]
async fn who_gives_up_takes_nobody_along() {
    let redis = TestRedis::start();
    let (store, runs) = counted(&redis).await;
    let mine = [demand("a", 1, 100, 60_000)];
    let mut checks: Vec<_> = (0..10).map(|_| store.check(&mine)).collect();
    for check in &mut checks {
        assert!(check.now_or_never().is_none());
    }
    checks.drain(..5);
    let last = join_all(checks).await.pop().unwrap();
    // Counted all the same, as whatever is on its way.
    assert_eq!(last.unwrap().outcomes[0].used, 10);
    assert_eq!(runs(), 1);
}

#[tokio::test]
async fn calls_that_know_a_limit_differently_do_not_go_together() {
    let redis = TestRedis::start();
    let (store, runs) = counted(&redis).await;
    let old = [demand("a", 1, 2, 60_000)];
    let new = [demand("a", 1, 3, 60_000)];
    let look = [Demand {
        cost: 0,
        ..new[0].clone()
    }];
    let calls: [&[Demand]; 6] = [&old, &old, &old, &new, &new, &look];
    let outcomes = join_all(calls.map(|call| store.check(call))).await;
    assert_eq!(runs(), 3);
    let seen: Vec<_> = outcomes
        .into_iter()
        .map(|v| v.unwrap().outcomes[0])
        .map(|o| (o.fits, o.used))
        .collect();
    let expected = [
        (true, 1),
        (true, 2),
        (false, 2),
        (true, 3),
        (false, 3),
        (true, 3),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_run_that_fails_fails_for_all_of_it() {
    let mut redis = TestRedis::start();
    let (store, _) = counted(&redis).await;
    let mine = [demand("a", 1, 100, 60_000)];
    store.check(&mine).await.unwrap();
    redis.kill();
    for verdict in join_all((0..40).map(|_| store.check(&mine))).await {
        assert!(verdict.is_err());
    }
}

#[tokio::test]
async fn a_log_lives_as_long_as_it_counts_whatever_is_spared() {
    let redis = InRedis::start().await;
    let of = |window_ms| [demand("a", 1, 1000, window_ms)];
    let key = redis.store.key(&of(1)[0]);
    let check = async |window_ms| {
        let verdict = redis.store.check(&of(window_ms)).await.unwrap();
        assert!(verdict.outcomes[0].fits);
        number(&redis.link, &["PTTL", &key]).await
    };
    assert!((60_001..=61_000).contains(&check(60_000).await));
    // Made shorter by somebody else, so that it can be seen when it is renewed.
    number(&redis.link, &["PEXPIRE", &key, "30000"]).await;
    redis.pass(980_000).await;
    assert!(check(60_000).await <= 30_000);
    redis.pass(20_000).await;
    assert!((60_001..=61_000).contains(&check(60_000).await));
    // Another window counts from the first call on that knows it.
    assert!((120_001..=121_000).contains(&check(120_000).await));
    assert!((10_001..=11_000).contains(&check(10_000).await));
    // A clock that is put back does not make it live longer than it should.
    number(&redis.link, &["DECRBY", "clock", "5000000"]).await;
    number(&redis.link, &["PEXPIRE", &key, "5000"]).await;
    assert!((10_001..=11_000).contains(&check(10_000).await));
}
