//! Both stores through the same random schedules, held against what a limit promises.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::KeyLayout;
use crate::limiter::Rule;
use crate::limiter::log::{Log, group};
use crate::limiter::memory::MemoryStore;
use crate::limiter::redis::RedisStore;
use crate::limiter::store::{Demand, Store, Verdict};
use crate::limiter::testing::demand;
use crate::redis_link::RedisLink;
use crate::redis_link::testing::TestRedis;

/// A store whose clock the test moves.
pub(super) trait Clocked {
    fn store(&self) -> &dyn Store;
    /// Lets so many microseconds pass.
    fn pass(&self, micros: u64) -> BoxFuture<'_, ()>;
}

pub(super) struct Memory(pub(super) MemoryStore);

impl Clocked for Memory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn pass(&self, micros: u64) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::advance(Duration::from_micros(micros)))
    }
}

pub(super) struct InRedis {
    pub(super) store: RedisStore<RedisLink>,
    pub(super) link: RedisLink,
    _redis: TestRedis,
}

impl InRedis {
    /// The real scripts but for their clock: microseconds in the key `clock`.
    pub(super) async fn start() -> Self {
        Self::with(KeyLayout::One).await
    }

    pub(super) async fn with(layout: KeyLayout) -> Self {
        let redis = TestRedis::start();
        let link = redis.link().await;
        let clock = "{ 1000000000, redis.call('GET', 'clock') or 0 }";
        let timed = |script: &str| {
            let timed = script.replace("redis.call('TIME')", clock);
            assert_ne!(timed, script);
            timed
        };
        let store = RedisStore::with_scripts(link.clone(), "sluice", layout, timed);
        Self {
            store,
            link,
            _redis: redis,
        }
    }
}

impl Clocked for InRedis {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn pass(&self, micros: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut command = redis::cmd("INCRBY");
            let _: i64 = self
                .link
                .query(command.arg("clock").arg(micros))
                .await
                .unwrap();
        })
    }
}

/// All that one key was admitted, exactly.
#[derive(Debug, Default)]
struct Exact(VecDeque<(u64, u64)>);

impl Exact {
    /// Used within the window that ends now.
    fn used(&mut self, now: u64, window: u64) -> u64 {
        while self.0.front().is_some_and(|(at, _)| at + window <= now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, cost)| cost).sum()
    }
}

/// One random schedule: some limits of one caller, calls in bursts and pauses.
async fn run(clocked: &impl Clocked, seed: u64, steps: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    // Windows are long for real clocks, so that Redis itself forgets no key meanwhile.
    let window_ms = random.random_range(60_000..200_000_u64);
    let count = random.random_range(1..=3);
    let mut demands: Vec<Demand> = Vec::new();
    for i in 0..count {
        let max = match random.random_range(0..3) {
            0 => random.random_range(1..10),
            1 => random.random_range(100..300),
            _ => random.random_range(1000..100_000),
        };
        let name = format!("limit-{seed}-{i}");
        let mut demand = demand(&name, 1, max, window_ms);
        demand.cost = random.random_range(1..=(max / 3).max(1));
        demands.push(demand);
    }
    let window = window_ms * 1000;
    let mut exact: Vec<Exact> = demands.iter().map(|_| Exact::default()).collect();
    for step in 0..steps {
        let pause = match random.random_range(0..4) {
            0 => 0,
            1 => random.random_range(0..1000),
            2 => random.random_range(0..window / 20),
            _ => random.random_range(0..window / 2),
        };
        clocked.pass(pause).await;
        let verdict = clocked.store().check(&demands).await.unwrap();
        check(&demands, &mut exact, &verdict, window)
            .unwrap_or_else(|fault| panic!("seed {seed}, step {step}: {fault}\n{demands:#?}"));
    }
}

/// What must hold after each call.
fn check(
    demands: &[Demand],
    exact: &mut [Exact],
    verdict: &Verdict,
    window: u64,
) -> Result<(), String> {
    let admitted = verdict.outcomes.iter().all(|o| o.fits);
    for ((demand, exact), outcome) in demands.iter().zip(exact).zip(&verdict.outcomes) {
        let (max, cost) = (u64::from(demand.max), u64::from(demand.cost));
        let used = exact.used(verdict.now, window);
        if outcome.fits && used + cost > max {
            return Err(format!("{used} are used, and {cost} more were admitted"));
        }
        // Small limits are exact; large ones err by less than 1 %.
        let slack = u64::from(demand.group()) - 1;
        if !outcome.fits && used + cost + slack <= max {
            return Err(format!("{used} are used, and {cost} more were refused"));
        }
        if slack > 0 && slack * 100 >= max {
            return Err(format!("errs by {slack}"));
        }
        if outcome.fits != (outcome.wait == 0) || outcome.wait > window {
            return Err(format!("waits for {outcome:?}"));
        }
        let counted = if admitted { cost } else { 0 };
        if admitted {
            exact.0.push_back((verdict.now, cost));
        }
        let told = outcome.used;
        if told < used + counted || told > used + counted + slack {
            return Err(format!("{} are used, not {told}", used + counted));
        }
    }
    Ok(())
}

pub(super) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = rand::random::<u64>() >> 16;
    println!("seeds from {first}");
    first..first + count
}

#[tokio::test(start_paused = true)]
async fn memory_never_admits_too_many_and_hardly_ever_too_few() {
    for seed in seeds(150) {
        run(&Memory(MemoryStore::new(1000)), seed, 400).await;
    }
}

#[tokio::test]
async fn redis_never_admits_too_many_and_hardly_ever_too_few() {
    let redis = InRedis::start().await;
    for seed in seeds(25) {
        run(&redis, seed, 200).await;
    }
}

/// A caller at nine tenths of the limit, in bursts or evenly.
async fn below_the_limit(clocked: &impl Clocked, name: &str, max: u32, bursts: u32) {
    let demand = [demand(name, 1, max, 60_000)];
    let calls = max * 9 / 10;
    let a_burst = calls / bursts;
    for _ in 0..3 * bursts {
        for _ in 0..a_burst {
            let verdict = clocked.store().check(&demand).await.unwrap();
            assert!(verdict.outcomes[0].fits, "{name}: {verdict:?}");
        }
        clocked
            .pass((60_000_000_u64).div_ceil(u64::from(bursts)))
            .await;
    }
}

async fn all_below_the_limit(clocked: &impl Clocked, largest: u32) {
    let cases = [
        (10, 1),
        (10, 9),
        (1000, 1),
        (1000, 7),
        (largest, 1),
        (largest, 90),
    ];
    for (i, (max, bursts)) in cases.into_iter().enumerate() {
        below_the_limit(clocked, &format!("l-{i}"), max, bursts).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_stays_below_nine_tenths_is_never_refused_in_memory() {
    all_below_the_limit(&Memory(MemoryStore::new(1000)), 100_000).await;
}

#[tokio::test]
async fn who_stays_below_nine_tenths_is_never_refused_in_redis() {
    all_below_the_limit(&InRedis::start().await, 2000).await;
}

async fn waits_as_told(clocked: &impl Clocked) {
    for max in [3, 500] {
        let demand = [demand(&format!("wait-{max}"), 1, max, 60_000)];
        let check = async || clocked.store().check(&demand).await.unwrap().outcomes[0];
        let mut admitted = 0;
        while admitted < 2 * max {
            let outcome = check().await;
            if outcome.fits {
                clocked.pass(1000).await;
            } else {
                // Not a microsecond earlier.
                clocked.pass(outcome.wait - 1).await;
                assert!(!check().await.fits);
                clocked.pass(1).await;
                assert!(check().await.fits);
            }
            admitted += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_as_told_is_admitted_in_memory() {
    waits_as_told(&Memory(MemoryStore::new(1000))).await;
}

#[tokio::test]
async fn whoever_waits_as_told_is_admitted_in_redis() {
    waits_as_told(&InRedis::start().await).await;
}

pub(super) fn in_shadow(mut demand: Demand) -> Demand {
    let mut limit = demand.rule.limit.clone();
    limit.shadow = true;
    let rule = Rule {
        limit,
        epoch: 0,
        counts: Default::default(),
    };
    demand.rule = rule.into();
    demand
}

async fn all_or_nothing(store: &dyn Store) {
    let demands = [
        demand("wide", 1, 10, 60_000),
        demand("tight", 1, 3, 60_000),
        in_shadow(demand("shadow", 1, 2, 60_000)),
    ];
    let mut last = None;
    for _ in 0..5 {
        last = Some(store.check(&demands).await.unwrap());
    }
    let outcomes = last.unwrap().outcomes;
    let seen: Vec<_> = outcomes.iter().map(|o| (o.fits, o.used)).collect();
    // Refused by `tight` since the fourth; `shadow` was over since the third and in nobody's way.
    assert_eq!(seen, [(true, 3), (false, 3), (false, 2)]);
    let verdict = store.check(&[demand("none", 1, 0, 60_000)]).await.unwrap();
    assert!(!verdict.outcomes[0].fits);
    assert_eq!(verdict.outcomes[0].wait, 60_000_000);
}

#[tokio::test]
async fn what_one_limit_refuses_no_other_counts_and_zero_blocks() {
    all_or_nothing(&MemoryStore::new(1000)).await;
    all_or_nothing(InRedis::start().await.store()).await;
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_keeps_what_still_counts() {
    let store = MemoryStore::new(100);
    for key in 0..100 {
        store.check_now(&[demand("short", key, 5, 1000)]);
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    for key in 0..50 {
        store.check_now(&[demand("long", key, 5, 100_000)]);
    }
    assert_eq!(store.keys(), 50);
    for key in 0..1000 {
        store.check_now(&[demand("many", key, 5, 100_000)]);
    }
    assert_eq!(store.keys(), 100);
}

#[test]
fn a_log_is_short_however_calls_come() {
    for max in [1_u32, 128, 129, 1000, 1_000_000_000] {
        let mut log = Log::default();
        let (group, cost) = (group(max), (max / 1000).max(1));
        for now in 0..3000 {
            log.expire(now, 1000);
            if log.wait(now, 1000, cost, max) == 0 {
                log.admit(now, cost, group);
            }
            assert!(log.entries() <= 129, "{max}: {}", log.entries());
        }
    }
}
