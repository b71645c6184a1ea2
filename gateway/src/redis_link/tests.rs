//! The link against a real server.

use std::time::Duration;

use redis::{Script, cmd};

use super::testing::{TestRedis, until};
use super::{OpenError, RedisLink, Unavailable};
use crate::config::RedisOptions;

async fn ping(link: &RedisLink) -> Result<String, Unavailable> {
    link.query(&cmd("PING")).await
}

#[tokio::test]
async fn commands_and_scripts_are_answered_also_after_a_flush() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    assert_eq!(ping(&link).await, Ok("PONG".to_owned()));
    let script = Script::new("return {KEYS[1], ARGV[1], ARGV[2]}");
    let args = [b"x".to_vec(), vec![0, 255]];
    let expected = vec![b"k".to_vec(), b"x".to_vec(), vec![0, 255]];
    for _ in 0..2 {
        let answer = link.invoke::<Vec<Vec<u8>>>(&script, &["k"], &args).await;
        assert_eq!(answer.as_ref(), Ok(&expected));
        let mut flush = cmd("SCRIPT");
        flush.arg("FLUSH");
        assert_eq!(link.query(&flush).await, Ok("OK".to_owned()));
    }
}

#[tokio::test]
async fn a_link_opens_without_a_server_and_finds_it_later() {
    let mut redis = TestRedis::absent();
    let link = RedisLink::open(&redis.options()).unwrap();
    assert!(!link.is_available());
    let error = ping(&link).await.unwrap_err();
    assert!(matches!(error, Unavailable::Away(_)), "{error}");
    assert!(!error.may_have_run());
    redis.spawn();
    until(&link, true).await;
    assert_eq!(ping(&link).await, Ok("PONG".to_owned()));
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_timeout_and_later_calls_nothing() {
    let redis = TestRedis::start();
    let options = RedisOptions {
        timeout: Duration::from_millis(500),
        ..redis.options()
    };
    let link = RedisLink::open(&options).unwrap();
    until(&link, true).await;
    redis.signal("STOP");
    // The keeper's beat may have noticed before.
    let first = ping(&link).await.unwrap_err();
    assert!(
        matches!(first, Unavailable::TimedOut(_) | Unavailable::Away(_)),
        "{first}"
    );
    until(&link, false).await;
    for _ in 0..100 {
        let later = ping(&link).await.unwrap_err();
        assert!(matches!(later, Unavailable::Away(_)), "{later}");
    }
    redis.signal("CONT");
    until(&link, true).await;
    assert_eq!(ping(&link).await, Ok("PONG".to_owned()));
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_found_again() {
    let mut redis = TestRedis::start();
    let link = redis.link().await;
    redis.kill();
    let error = ping(&link).await.unwrap_err();
    assert!(
        matches!(error, Unavailable::Lost(_) | Unavailable::Away(_)),
        "{error}"
    );
    until(&link, false).await;
    redis.spawn();
    until(&link, true).await;
    assert_eq!(ping(&link).await, Ok("PONG".to_owned()));
}

#[tokio::test]
async fn a_read_only_replica_counts_as_away() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let operator = redis.link().await;
    let mut demote = cmd("REPLICAOF");
    // Nobody is there; it turns read-only at once all the same.
    demote.arg("127.0.0.1").arg(1);
    operator.query::<String>(&demote).await.unwrap();
    let set = link.query::<String>(cmd("SET").arg("k").arg(1)).await;
    let error = set.unwrap_err();
    assert!(
        matches!(error, Unavailable::ReadOnly(_) | Unavailable::Away(_)),
        "{error}"
    );
    until(&link, false).await;
    // It answers, and is away still: the probe writes.
    let client = redis::Client::open(redis.options().url.unwrap()).unwrap();
    let mut direct = client.get_multiplexed_async_connection().await.unwrap();
    cmd("PING").exec_async(&mut direct).await.unwrap();
    assert!(!link.is_available());
    let mut promote = cmd("REPLICAOF");
    promote.arg("NO").arg("ONE");
    promote.exec_async(&mut direct).await.unwrap();
    until(&link, true).await;
    assert_eq!(ping(&link).await, Ok("PONG".to_owned()));
}

#[tokio::test]
async fn an_error_that_redis_answers_gives_nothing_up() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let error = link.query::<String>(&cmd("NOSUCH")).await.unwrap_err();
    assert!(matches!(error, Unavailable::Refused(_)), "{error}");
    let error = link.query::<u64>(&cmd("PING")).await.unwrap_err();
    assert!(matches!(error, Unavailable::Unexpected(_)), "{error}");
    assert!(link.is_available());
}

#[tokio::test]
async fn options_that_can_never_work_are_refused() {
    let error = RedisLink::open(&RedisOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::NoAddress), "{error}");
}
