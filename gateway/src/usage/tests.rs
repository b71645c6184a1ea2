use sluice_protocol::{FunctionName, ServiceName};

use super::*;
use crate::redis_link::testing::TestRedis;
use crate::registry::callers::Caller;

fn key() -> FunctionKey {
    FunctionKey {
        service: ServiceName::new("users").unwrap(),
        function: FunctionName::new("get").unwrap(),
        version: None,
    }
}

async fn shared(redis: &TestRedis) -> Shared {
    let usage = Usage::in_redis(redis.link().await, Arc::default());
    usage.shared.unwrap()
}

fn told(told: &Told) -> Vec<(String, u64)> {
    let field = |c: &CallerTold| (field(c.client.as_ref()), c.calls);
    told.callers.iter().map(field).collect()
}

#[tokio::test]
async fn two_gateways_counts_add_up_and_none_is_told_twice() {
    let redis = TestRedis::start();
    let (one, two) = (shared(&redis).await, shared(&redis).await);
    let (here, there) = (Callers::default(), Callers::default());
    let now = Instant::now();
    for _ in 0..3 {
        here.count(0, Caller::User("ann"), now);
        there.count(1, Caller::User("ann"), now);
        there.count(1, Caller::ApiKey("k"), now);
    }
    here.count(0, Caller::Anonymous, now);
    for _ in 0..2 {
        one.add(&key(), &here).await.unwrap();
        two.add(&key(), &there).await.unwrap();
    }
    let all = one.read(&key()).await.unwrap();
    let expected = [("u:ann", 6), ("k:k", 3), ("-", 1)].map(|(n, c)| (n.to_owned(), c));
    assert_eq!(
        (told(&all), all.calls, all.others),
        (expected.to_vec(), 10, 0)
    );
    assert!(all.callers[0].last >= since_1970() - 3600);
    assert_eq!(
        here.look().total,
        4,
        "a gateway still knows how many there were"
    );
    assert!(here.look().clients.is_empty());
}

#[tokio::test]
async fn redis_keeps_those_who_call_most_and_loses_no_call() {
    let redis = TestRedis::start();
    let shared = shared(&redis).await;
    let callers = Callers::default();
    let now = Instant::now();
    let mut sent = 0;
    for round in 0..12 {
        for n in 0..200 {
            callers.count(0, Caller::User(&format!("u{round}-{n}")), now);
            sent += 1;
        }
        for _ in 0..5 {
            callers.count(0, Caller::User("heavy"), now);
            sent += 1;
        }
        shared.add(&key(), &callers).await.unwrap();
    }
    let all = shared.read(&key()).await.unwrap();
    assert_eq!(all.calls, sent);
    assert!(all.callers.len() <= CLIENTS, "{}", all.callers.len());
    assert_eq!(told(&all)[0], ("u:heavy".to_owned(), 60));
    assert!(all.others > 0);
}

#[tokio::test]
async fn what_redis_does_not_take_is_told_later() {
    let mut redis = TestRedis::absent();
    let link = RedisLink::open(&redis.options()).unwrap();
    let usage = Usage::in_redis(link.clone(), Arc::default());
    let shared = usage.shared.as_ref().unwrap();
    let callers = Callers::default();
    callers.count(0, Caller::User("ann"), Instant::now());
    shared.add(&key(), &callers).await.unwrap_err();
    assert_eq!(callers.look().clients[0].calls, 1);
    assert_eq!(callers.look().total, 1);
    redis.spawn();
    crate::redis_link::testing::until(&link, true).await;
    shared.add(&key(), &callers).await.unwrap();
    assert_eq!(shared.read(&key()).await.unwrap().calls, 1);
}
