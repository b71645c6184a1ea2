//! What only Redis has: bytes for each key, expiry, scripts that are forgotten, clocks put back.

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use redis::Value;

use crate::config::KeyLayout;
use crate::limiter::redis::{Link, RedisStore};
use crate::limiter::store::{Demand, Store};
use crate::limiter::testing::demand;
use crate::redis_link::RedisLink;
use crate::redis_link::testing::TestRedis;

use super::model::{Clocked, InRedis};

pub(super) async fn number(link: &RedisLink, words: &[&str]) -> i64 {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    link.query(&command).await.unwrap()
}

#[tokio::test]
async fn a_key_costs_a_few_kibibytes_at_most_and_goes_by_itself() {
    let redis = InRedis::start().await;
    for max in [128_u32, 129, 5000, 100_000] {
        let mut demand = demand("big", max, max, 60_000);
        demand.cost = 1;
        // Spread over the window, as full as it gets.
        for _ in 0..400 {
            demand.cost = (max / 400).max(1);
            redis
                .store
                .check(std::slice::from_ref(&demand))
                .await
                .unwrap();
            redis.pass(140_000).await;
        }
        let key = redis.store.key(&demand);
        let bytes = number(&redis.link, &["MEMORY", "USAGE", &key]).await;
        assert!(bytes < 3 * 1024, "{max}: {bytes} bytes");
        let ttl = number(&redis.link, &["PTTL", &key]).await;
        assert!((1..=61_000).contains(&ttl), "{max}: {ttl} ms");
    }
}

/// Keeps what would be sent, and answers that there is room.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Vec<Vec<u8>>>>);

impl Link for &'static Recorder {
    fn invoke<'a>(
        &'a self,
        _script: &'a redis::Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>> {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec());
        self.0.lock().push(keys.chain(args.to_vec()).collect());
        // Generation, time, one used, no wait.
        let answer = [&[0; 16][..], &[1, 0, 0, 0], &[0; 8]].concat();
        Box::pin(async move { Ok(Value::BulkString(answer)) })
    }

    fn query<'a>(&'a self, _command: &'a redis::Cmd) -> BoxFuture<'a, Result<Value, String>> {
        Box::pin(async { Err("not asked".to_owned()) })
    }
}

#[tokio::test(start_paused = true)]
async fn no_clock_of_a_gateway_reaches_redis() {
    let recorder: &'static Recorder = Box::leak(Box::default());
    let store = RedisStore::new(recorder, "sluice", KeyLayout::One);
    let demand = [demand("a", 1, 5, 60_000)];
    for _ in 0..3 {
        store.check(&demand).await.unwrap();
        tokio::time::advance(std::time::Duration::from_secs(86_400)).await;
    }
    let sent = recorder.0.lock();
    assert_eq!(sent.len(), 3);
    // The same question at any time: only Redis says when it was asked.
    assert!(sent.iter().all(|one| *one == sent[0]), "{sent:?}");
    let window = 60_000_000_f64.to_le_bytes();
    let limit = [
        &[5, 0, 0, 0][..],
        &window,
        &[1, 0, 0, 0],
        &[1, 0, 0, 0],
        &[0],
    ];
    let argument = [&limit.concat()[..], &[0, 1, 0, 1]].concat();
    assert_eq!(sent[0][2..], [argument]);
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let redis = InRedis::start().await;
    let demand = [demand("a", 1, 100, 60_000)];
    for used in 1..=3 {
        let verdict = redis.store.check(&demand).await.unwrap();
        assert_eq!(verdict.outcomes[0].used, used);
        let flushed: String = redis
            .link
            .query(redis::cmd("SCRIPT").arg("FLUSH"))
            .await
            .unwrap();
        assert_eq!(flushed, "OK");
    }
}

#[tokio::test]
async fn a_clock_that_is_put_back_holds_nobody_longer_than_a_window() {
    let redis = InRedis::start().await;
    let demand = [demand("a", 1, 1, 60_000)];
    redis.pass(3_600_000_000).await;
    assert!(redis.store.check(&demand).await.unwrap().outcomes[0].fits);
    let _: i64 = redis
        .link
        .query(redis::cmd("DECRBY").arg("clock").arg(3_000_000_000_u64))
        .await
        .unwrap();
    let verdict = redis.store.check(&demand).await.unwrap();
    assert_eq!(verdict.outcomes[0].wait, 60_000_000);
}

#[tokio::test]
async fn broken_values_and_foreign_types_are_errors_and_no_panic() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let store = RedisStore::new(link.clone(), "sluice", KeyLayout::One);
    let demand = [demand("a", 1, 5, 60_000)];
    let key = store.key(&demand[0]);
    for text in ["x", "a text that is no log at all"] {
        let _: String = link
            .query(redis::cmd("SET").arg(&key).arg(text))
            .await
            .unwrap();
        // Whatever it says, the next one has to be able to say something too.
        let _ = store.check(&demand).await;
    }
    assert!(link.is_available());
}

#[tokio::test]
async fn spread_keys_count_like_others_and_take_back_what_another_limit_refuses() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let store = RedisStore::new(link.clone(), "sluice", KeyLayout::Spread);
    let demands = [
        demand("wide", 1, 10, 60_000),
        demand("tight", 1, 3, 60_000),
        demand("large", 1, 1000, 60_000),
    ];
    assert_ne!(store.key(&demands[0]), store.key(&demands[1]));
    for _ in 0..3 {
        let verdict = store.check(&demands).await.unwrap();
        assert!(verdict.outcomes.iter().all(|o| o.fits), "{verdict:?}");
    }
    for _ in 0..4 {
        let verdict = store.check(&demands).await.unwrap();
        let seen: Vec<_> = verdict.outcomes.iter().map(|o| (o.fits, o.used)).collect();
        assert_eq!(seen, [(true, 3), (false, 3), (true, 3)]);
    }
    let only = [demands[0].clone()];
    let verdict = store.check(&only).await.unwrap();
    assert_eq!(verdict.outcomes[0].used, 4);
    let ttl = number(&link, &["PTTL", &store.key(&demands[0])]).await;
    assert!(ttl > 0, "{ttl}");
}

/// Whether one more call of the key is admitted, and counted then; and when.
async fn one(redis: &InRedis, demand: &Demand) -> (bool, u64) {
    let asked = redis.store.check(std::slice::from_ref(demand)).await;
    let verdict = asked.unwrap();
    (verdict.outcomes[0].fits, verdict.now)
}

#[tokio::test]
async fn what_is_taken_back_after_its_window_is_not_another_calls() {
    let redis = InRedis::with(KeyLayout::Spread).await;
    let demand = demand("a", 1, 1, 60_000);
    let (_, provisional) = one(&redis, &demand).await;
    // Forgotten by itself, and another call has taken its place.
    redis.pass(60_000_000).await;
    assert!(one(&redis, &demand).await.0);
    redis.store.refund(&demand, provisional).await;
    assert!(!one(&redis, &demand).await.0);
}

#[tokio::test]
async fn what_is_taken_back_after_a_reset_is_not_another_calls() {
    for layout in [KeyLayout::One, KeyLayout::Spread] {
        let redis = InRedis::with(layout).await;
        let demand = demand("a", 1, 1, 60_000);
        let (_, provisional) = one(&redis, &demand).await;
        redis.pass(1).await;
        let before = redis.store.changes().await.unwrap().generation;
        redis.store.reset(&demand).await.unwrap();
        let after = redis.store.changes().await.unwrap().generation;
        assert_eq!(after, before + 1, "{layout:?}");
        assert!(one(&redis, &demand).await.0, "{layout:?}");
        redis.store.refund(&demand, provisional).await;
        assert!(!one(&redis, &demand).await.0, "{layout:?}");
    }
}

#[tokio::test]
async fn what_is_taken_back_after_the_clock_was_put_back_is_not_another_calls() {
    let redis = InRedis::with(KeyLayout::Spread).await;
    let demand = demand("a", 1, 3, 60_000);
    redis.pass(3_600_000_000).await;
    let (_, provisional) = one(&redis, &demand).await;
    number(&redis.link, &["DECRBY", "clock", "10000000"]).await;
    redis.store.refund(&demand, provisional).await;
    assert!(one(&redis, &demand).await.0);
    redis.pass(11_000_000).await;
    assert!(one(&redis, &demand).await.0);
    redis.store.refund(&demand, provisional).await;
    assert!(!one(&redis, &demand).await.0, "three of three are used");
}

#[tokio::test]
async fn what_is_taken_back_in_time_makes_room_at_once() {
    let redis = InRedis::with(KeyLayout::Spread).await;
    // 300: entries of several admissions.
    for max in [2_u32, 300] {
        let demand = demand("a", max, max, 60_000);
        let (_, provisional) = one(&redis, &demand).await;
        for _ in 1..max {
            redis.pass(1).await;
            assert!(one(&redis, &demand).await.0);
        }
        assert!(!one(&redis, &demand).await.0);
        redis.store.refund(&demand, provisional).await;
        assert!(one(&redis, &demand).await.0, "{max}");
        assert!(!one(&redis, &demand).await.0, "{max}");
    }
}
