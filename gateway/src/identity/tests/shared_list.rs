//! The list of revocations in a real Redis.

use super::super::revoked::{News, Revocation};
use super::super::revoked_store::RevokedStore;
use crate::redis_link::RedisLink;
use crate::redis_link::testing::{TestRedis, until};

fn news(what: Revocation, at: u64, restored: bool) -> News {
    News { what, at, restored }
}

fn user(name: &str) -> Revocation {
    Revocation::User(name.to_owned())
}

fn key(id: &str) -> Revocation {
    Revocation::ApiKey(id.to_owned())
}

async fn number(link: &RedisLink, words: &[&str]) -> i64 {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    link.query(&command).await.unwrap()
}

/// All that is new to `store`.
async fn all(store: &mut RevokedStore) -> Vec<News> {
    let mut all = Vec::new();
    loop {
        let page = store.read().await.unwrap();
        all.extend(page.news);
        if !page.more {
            return all;
        }
    }
}

#[tokio::test]
async fn each_gateway_reads_each_change_once_in_order_over_both_protocols() {
    let redis = TestRedis::start();
    let mut links = vec![redis.link().await];
    let mut options = redis.options();
    options.url = options.url.map(|url| format!("{url}?protocol=resp3"));
    links.push(RedisLink::open(&options).unwrap());
    until(&links[1], true).await;
    let mut stores: Vec<RevokedStore> = links.into_iter().map(RevokedStore::new).collect();
    let changes = [
        news(user("ann:with:colons"), 1_763_000_000, false),
        news(key("k"), 1_763_000_001, false),
        news(Revocation::Token("t".to_owned()), 1_763_000_002, false),
        news(key("k"), 1_763_000_003, true),
    ];
    for (i, change) in changes.iter().enumerate() {
        assert!(stores[i % 2].write(change, 0, 10).await.unwrap());
        for store in &mut stores {
            assert_eq!(all(store).await, std::slice::from_ref(change), "once");
            assert_eq!(all(store).await, []);
        }
    }
    // What was known before, or is older than what stands there, is no change.
    for old in [&changes[0], &changes[1], &changes[3]] {
        assert!(stores[0].write(old, 0, 10).await.unwrap());
    }
    assert_eq!(all(&mut stores[1]).await, []);
    stores[1].rewind();
    let kept = all(&mut stores[1]).await;
    assert_eq!(
        kept,
        [0, 2, 3].map(|i| changes[i].clone()),
        "the last word on each"
    );
}

#[tokio::test]
async fn a_long_list_comes_in_pages_and_is_bounded() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let (writer, mut reader) = (
        RevokedStore::new(link.clone()),
        RevokedStore::new(link.clone()),
    );
    for i in 0..1300 {
        let change = news(user(&format!("u{i}")), 1000 + i, false);
        assert!(writer.write(&change, 1100, 1250).await.unwrap());
    }
    let first = reader.read().await.unwrap();
    assert!(
        first.more && first.news.len() == 500,
        "{}",
        first.news.len()
    );
    let rest = all(&mut reader).await;
    // 100 were too old when they came.
    assert_eq!(first.news.len() + rest.len(), 1200);
    for i in 1300..1400 {
        let change = news(user(&format!("u{i}")), 1000 + i, false);
        assert!(writer.write(&change, 1100, 1250).await.unwrap());
    }
    let tag = "{sluice:revoked}";
    for (command, name) in [("ZCARD", "changes"), ("HLEN", "at"), ("ZCARD", "expiring")] {
        let count = number(&link, &[command, &format!("{tag}:{name}")]).await;
        assert_eq!(count, 1250, "{name}");
    }
    // Time goes on: what is outdated goes, some with each change.
    for i in 0..20 {
        let change = news(user(&format!("late{i}")), 9000 + i, false);
        assert!(writer.write(&change, 8000, 1250).await.unwrap());
    }
    let count = number(&link, &["ZCARD", &format!("{tag}:changes")]).await;
    assert_eq!(count, 20);
}

#[tokio::test]
async fn api_keys_stay_until_they_are_let_in_again() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let mut store = RevokedStore::new(link);
    for id in ["a", "b"] {
        assert!(
            store
                .write(&news(key(id), 10, false), 500, 2)
                .await
                .unwrap()
        );
    }
    let refused = store.write(&news(key("c"), 11, false), 500, 2).await;
    assert!(!refused.unwrap(), "there is no room for more");
    assert!(
        store
            .write(&news(key("a"), 1000, true), 500, 2)
            .await
            .unwrap()
    );
    assert!(
        store
            .write(&news(key("c"), 1001, false), 500, 2)
            .await
            .unwrap()
    );
    // That it was let in again is forgotten as others are; revoked ones are not.
    assert!(
        store
            .write(&news(user("u"), 9000, false), 8000, 2)
            .await
            .unwrap()
    );
    let kept: Vec<_> = all(&mut store).await.into_iter().map(|n| n.what).collect();
    assert_eq!(kept, [key("b"), key("c"), user("u")]);
}

#[tokio::test]
async fn a_redis_without_its_memory_is_noticed() {
    let mut redis = TestRedis::start();
    let link = redis.link().await;
    let mut store = RevokedStore::new(link.clone());
    for at in 1..4 {
        store
            .write(&news(user("u"), at, false), 0, 9)
            .await
            .unwrap();
    }
    assert_eq!(all(&mut store).await.len(), 1);
    redis.kill();
    until(&link, false).await;
    redis.spawn();
    until(&link, true).await;
    assert!(store.read().await.unwrap().lost);
    assert!(!store.read().await.unwrap().lost, "said once");
}

#[tokio::test]
async fn a_poll_reads_no_more_than_what_is_new() {
    let redis = TestRedis::start();
    let link = redis.link().await;
    let mut store = RevokedStore::new(link.clone());
    for i in 0..50 {
        let change = news(user(&format!("u{i}")), 1, false);
        store.write(&change, 0, 100).await.unwrap();
    }
    assert_eq!(all(&mut store).await.len(), 50);
    let calls = async |of: &str| {
        let mut command = redis::cmd("INFO");
        let info: String = link.query(command.arg("commandstats")).await.unwrap();
        let line = info
            .lines()
            .find(|l| l.starts_with(&format!("cmdstat_{of}:")));
        line.map_or(0, |line| {
            let (_, rest) = line.split_once("calls=").unwrap();
            rest.split(',').next().unwrap().parse::<u64>().unwrap()
        })
    };
    let before = (calls("zrangebyscore").await, calls("hget").await);
    for _ in 0..20 {
        assert_eq!(all(&mut store).await, []);
    }
    assert_eq!(
        (calls("zrangebyscore").await, calls("hget").await),
        before,
        "nothing new: nothing read"
    );
    store
        .write(&news(user("new"), 2, false), 0, 100)
        .await
        .unwrap();
    let before = calls("hget").await;
    assert_eq!(all(&mut store).await.len(), 1);
    assert_eq!(calls("hget").await, before + 1);
}
