//! The store against a real server, as two gateways see it.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::response::Answer;
use sluice_protocol::{ErrorCode, Executed, Payload, RequestId};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::hub::{self, Hub};
use super::super::{Record, ResultStore};
use super::{LATE, RedisResults};
use crate::redis_link::RedisLink;
use crate::redis_link::testing::{TestRedis, until};

const TTL: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(300);

struct Gateway {
    store: RedisResults,
    link: RedisLink,
    _postman: DropGuard,
}

async fn gateway(redis: &TestRedis, id: &str) -> Gateway {
    let link = redis.link().await;
    let hub = Hub::new(id);
    let stop = CancellationToken::new();
    tokio::spawn(hub::deliver(Arc::clone(&hub), link.clone(), stop.clone()));
    Gateway {
        store: RedisResults::new(link.clone(), hub, TTL, LONGEST),
        link,
        _postman: stop.drop_guard(),
    }
}

fn pending() -> Record {
    Record {
        request_id: RequestId::new("r").unwrap(),
        owner: Some("u".to_owned()),
        answer: None,
        within: None,
    }
}

fn done(json: &'static str) -> Record {
    Record {
        answer: Some(Answer::Result(Payload::json(json))),
        ..pending()
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn time_to_live(link: &RedisLink, key: &str) -> Duration {
    let ms: i64 = link.query(redis::cmd("PTTL").arg(key)).await.unwrap();
    Duration::from_millis(ms.try_into().unwrap())
}

#[tokio::test]
async fn a_call_that_lost_its_gateway_is_told_to_be_lost() {
    let redis = TestRedis::start();
    let (one, two) = (gateway(&redis, "1").await, gateway(&redis, "2").await);
    one.store.put("a", pending()).await.unwrap();
    let within = Some(Duration::from_millis(1));
    let short = Record {
        within,
        ..pending()
    };
    one.store.put("b", short).await.unwrap();
    for id in ["a", "b"] {
        assert_eq!(two.store.get(id).await, Ok(Some(pending())), "{id}");
    }
    // As if the time was up; the clock is Redis' own.
    let mut command = redis::cmd("HINCRBY");
    let key = "sluice:result:b";
    let due = LATE.as_millis() as i64 + 1000;
    let _: i64 = two
        .link
        .query(command.arg(key).arg("due").arg(-due))
        .await
        .unwrap();
    let answers = [
        two.store.get("b").await.unwrap(),
        soon("the end", two.store.finished("b")).await.unwrap(),
    ];
    for record in answers {
        let Some(Answer::Error(error)) = record.unwrap().answer else {
            panic!("no error");
        };
        assert_eq!(error.code, ErrorCode::WorkerLost);
        assert_eq!(error.executed, Executed::Unknown);
        assert!(!error.can_retry);
    }
    assert_eq!(two.store.cancel("b").await, Ok(false));
    assert_eq!(two.store.get("a").await, Ok(Some(pending())));
    let left = time_to_live(&two.link, key).await;
    assert!(left > TTL / 2, "it can be read for a while: {left:?}");
}

#[tokio::test]
async fn a_record_is_found_through_either_gateway_and_the_first_answer_stays() {
    let redis = TestRedis::start();
    let (one, two) = (gateway(&redis, "1").await, gateway(&redis, "2").await);
    assert_eq!(two.store.get("a").await, Ok(None));
    one.store.put("a", pending()).await.unwrap();
    assert_eq!(two.store.get("a").await, Ok(Some(pending())));
    let left = time_to_live(&two.link, "sluice:result:a").await;
    assert!(
        left > Duration::ZERO && left <= LONGEST + LATE + TTL,
        "{left:?}"
    );
    one.store.put("a", done("1")).await.unwrap();
    two.store.put("a", done("2")).await.unwrap();
    one.store.put("a", pending()).await.unwrap();
    for gateway in [&one, &two] {
        assert_eq!(gateway.store.get("a").await, Ok(Some(done("1"))));
        assert_eq!(gateway.store.finished("a").await, Ok(Some(done("1"))));
        assert_eq!(gateway.store.cancel("a").await, Ok(false));
    }
    let left = time_to_live(&two.link, "sluice:result:a").await;
    assert!(left <= TTL && left > LONGEST, "{left:?}");
}

#[tokio::test]
async fn nobody_and_a_user_without_a_name_are_two() {
    let redis = TestRedis::start();
    let one = gateway(&redis, "1").await;
    for (id, owner) in [("a", None), ("b", Some(String::new()))] {
        let record = Record { owner, ..pending() };
        one.store.put(id, record.clone()).await.unwrap();
        assert_eq!(one.store.get(id).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn the_end_is_told_to_a_waiter_at_another_gateway() {
    let redis = TestRedis::start();
    let (one, two) = (gateway(&redis, "1").await, gateway(&redis, "2").await);
    assert_eq!(two.store.finished("a").await, Ok(None));
    one.store.put("a", pending()).await.unwrap();
    let ended = async {
        // Not before both wait.
        soon("a note of the waiter", async {
            let mut ask = redis::cmd("HGET");
            ask.arg("sluice:result:a").arg("waiting");
            while two.link.query::<Option<String>>(&ask).await != Ok(Some("2\n".to_owned())) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        one.store.put("a", done("1")).await.unwrap();
    };
    let (there, here, ()) = tokio::join!(
        soon("the end, elsewhere", two.store.finished("a")),
        soon("the end, here", one.store.finished("a")),
        ended
    );
    assert_eq!(there, Ok(Some(done("1"))));
    assert_eq!(here, Ok(Some(done("1"))));
}

#[tokio::test]
async fn a_call_is_cancelled_from_another_gateway() {
    let redis = TestRedis::start();
    let (one, two) = (gateway(&redis, "1").await, gateway(&redis, "2").await);
    one.store.put("a", pending()).await.unwrap();
    one.store.put("b", pending()).await.unwrap();
    assert_eq!(two.store.cancel("a").await, Ok(true));
    assert_eq!(two.store.cancel("none").await, Ok(false));
    soon("the wish to cancel", one.store.cancelled("a")).await;
    assert!(!one.store.hub.running("b").unwrap().cancel.is_cancelled());
    assert_eq!(one.store.cancel("b").await, Ok(true));
    soon("the wish to cancel", one.store.cancelled("b")).await;
}

#[tokio::test]
async fn an_answer_waits_for_a_redis_that_is_away_and_a_new_call_does_not() {
    let mut redis = TestRedis::start();
    let one = gateway(&redis, "1").await;
    one.store.put("a", pending()).await.unwrap();
    redis.kill();
    until(&one.link, false).await;
    let refused = one.store.put("b", pending()).await.unwrap_err();
    assert!(refused.to_string().contains("Redis is away"), "{refused}");
    assert!(one.store.hub.running("b").is_none());
    let (written, ()) = tokio::join!(one.store.put("a", done("1")), async { redis.spawn() });
    assert_eq!(written, Ok(()));
    assert_eq!(one.store.get("a").await, Ok(Some(done("1"))));
}
