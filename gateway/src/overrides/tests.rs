//! Two gateways' overrides over one Redis; rules of the store that both kinds share.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::{ApiVersion, FunctionName, InstanceId, ServiceName};

use super::decision::{Client, Decision, FunctionKey, Key};
use super::entry::Entry;
use super::index::Overrides;
use super::memory::MemoryStore;
use super::redis::RedisStore;
use super::store::Store;
use crate::redis_link::testing::TestRedis;

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn function(name: &str) -> FunctionName {
    FunctionName::new(name).unwrap()
}

fn version_of(version: Option<&str>) -> FunctionKey {
    FunctionKey {
        service: service("users"),
        function: function("get"),
        version: version.map(|v| ApiVersion::new(v).unwrap()),
    }
}

/// One of each kind.
fn one_of_each() -> Vec<Entry> {
    let deprecation = super::Deprecation {
        at: 5,
        sunset: Some(6),
        link: None,
    };
    let pin = |client, function| Decision::Pin {
        client,
        service: service("users"),
        function,
        version: "^1".to_owned(),
    };
    let all = [
        Decision::Flag(Key::Disabled(version_of(Some("1.0.0")))),
        Decision::Flag(Key::Disabled(version_of(None))),
        Decision::Flag(Key::Deleted(version_of(Some("a b/ü")))),
        Decision::Flag(Key::Drained {
            service: service("users"),
            instance: InstanceId::new("w1").unwrap(),
        }),
        Decision::Deprecate(version_of(Some("1.0.0")), deprecation),
        Decision::Latest(
            service("users"),
            function("get"),
            ApiVersion::new("1.0.0").unwrap(),
        ),
        pin(Client::User("ann".to_owned()), None),
        pin(Client::ApiKey("ann".to_owned()), Some(function("get"))),
    ];
    all.map(|decision| Entry::new(decision, "op", 7)).into()
}

#[test]
fn what_is_written_is_read_again() {
    for entry in one_of_each() {
        let read = Entry::read(&entry.key.to_field(), &entry.to_text());
        assert_eq!(read.as_ref(), Some(&entry));
        assert!(entry.decision().is_some(), "{entry:?}");
    }
    for (field, text) in [
        ("", ""),
        ("{}", "{}"),
        (r#"{"kind":"newer","service":"s"}"#, r#"{"by":"x","at":1}"#),
        (
            r#"{"kind":"latest","service":"","function":"f"}"#,
            r#"{"by":"x","at":1}"#,
        ),
    ] {
        assert_eq!(Entry::read(field, text), None, "{field} {text}");
    }
}

#[test]
fn fields_are_as_they_were_written_by_earlier_gateways() {
    let fields: Vec<String> = one_of_each().iter().map(|e| e.key.to_field()).collect();
    let expected = [
        r#"{"kind":"disabled","service":"users","function":"get","version":"1.0.0"}"#,
        r#"{"kind":"disabled","service":"users","function":"get","version":null}"#,
        r#"{"kind":"deleted","service":"users","function":"get","version":"a b/ü"}"#,
        r#"{"kind":"drained","service":"users","instance":"w1"}"#,
        r#"{"kind":"deprecated","service":"users","function":"get","version":"1.0.0"}"#,
        r#"{"kind":"latest","service":"users","function":"get"}"#,
        r#"{"kind":"pin","client":{"user":"ann"},"service":"users","function":null}"#,
        r#"{"kind":"pin","client":{"api_key":"ann"},"service":"users","function":"get"}"#,
    ];
    assert_eq!(fields, expected);
}

#[test]
fn overrides_say_what_was_decided_and_nothing_else() {
    let all = Overrides::of(one_of_each());
    let word = all.function(&version_of(Some("1.0.0"))).unwrap();
    assert!(word.disabled && !word.deleted);
    assert_eq!(word.deprecated.as_ref().unwrap().0.sunset, Some(6));
    assert!(all.function(&version_of(None)).unwrap().disabled);
    assert!(all.function(&version_of(Some("a b/ü"))).unwrap().deleted);
    assert_eq!(all.function(&version_of(Some("2"))), None);
    let (users, get) = (service("users"), function("get"));
    assert_eq!(all.latest(&users, &get).unwrap().as_str(), "1.0.0");
    assert!(all.is_drained(&users, &InstanceId::new("w1").unwrap()));
    assert!(!all.is_drained(&users, &InstanceId::new("w2").unwrap()));
    let pins = all.pins();
    let of = |user, key, function| {
        let found = pins.find(user, key, "users", function);
        found.map(|p| (p.version, p.of_service))
    };
    assert_eq!(of(Some("ann"), None, "get"), Some(("^1", true)));
    assert_eq!(of(None, Some("ann"), "get"), Some(("^1", false)));
    assert_eq!(of(Some("bob"), Some("ann"), "get"), Some(("^1", false)));
    assert_eq!(of(None, Some("ann"), "put"), None);
    assert_eq!(of(Some("ann"), Some("ann"), "get"), Some(("^1", true)));
    assert_eq!(pins.find(Some("ann"), None, "other", "get"), None);
}

/// The last word on a key wins, and each word says what it replaced.
async fn keeps(store: &dyn Store) {
    assert_eq!(store.load().await.unwrap().entries, []);
    let mut generation = store.generation().await.unwrap();
    for entry in one_of_each() {
        assert_eq!(store.put(&entry).await, Ok(None));
        let now = store.generation().await.unwrap();
        assert!(now > generation);
        generation = now;
    }
    let mut expected = one_of_each();
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    let kept = store.load().await.unwrap();
    assert_eq!((kept.generation, &kept.entries), (generation, &expected));
    let mut later = expected[0].clone();
    later.value.by = "other".to_owned();
    assert_eq!(store.put(&later).await, Ok(Some(expected[0].clone())));
    assert_eq!(store.remove(&later.key).await, Ok(Some(later.clone())));
    assert_eq!(store.remove(&later.key).await, Ok(None));
    assert_eq!(store.load().await.unwrap().entries, expected[1..]);
}

#[tokio::test]
async fn memory_keeps_what_it_is_told() {
    keeps(&MemoryStore::default()).await;
}

#[tokio::test]
async fn redis_keeps_what_it_is_told() {
    let redis = TestRedis::start();
    keeps(&RedisStore::new(redis.link().await)).await;
}

#[tokio::test]
async fn a_redis_that_lost_everything_gets_it_back_once() {
    let mut redis = TestRedis::start();
    let store = RedisStore::new(redis.link().await);
    for entry in one_of_each() {
        store.put(&entry).await.unwrap();
    }
    let known = store.load().await.unwrap();
    // An operator decides nothing: what a gateway knows is not written over what is there.
    store.restore(&Default::default()).await.unwrap();
    assert_eq!(store.load().await.unwrap(), known);
    redis.kill();
    redis.spawn();
    let store = RedisStore::new(redis.link().await);
    assert_eq!(store.generation().await, Ok(0));
    store.restore(&known).await.unwrap();
    let restored = store.load().await.unwrap();
    assert_eq!(restored.entries, known.entries);
    assert!(restored.generation > known.generation);
    store.restore(&known).await.unwrap();
    assert_eq!(store.load().await.unwrap(), restored, "the first one wins");
}

#[tokio::test]
async fn a_store_that_is_away_says_so_in_time() {
    let redis = TestRedis::absent();
    let link = crate::redis_link::RedisLink::open(&redis.options()).unwrap();
    let registry = Arc::new(crate::registry::Registry::default());
    let steering = super::Steering::in_redis(link, registry);
    assert!(!steering.first(Duration::from_millis(200)).await);
    let key = Key::Disabled(version_of(None));
    let error = steering.withdraw(&key).await.unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
}

/// A gateway's overrides over this Redis, which it follows without hearing hints.
async fn gateway(redis: &TestRedis) -> (Arc<super::Steering>, tokio_util::sync::DropGuard) {
    let registry = crate::registry::Registry::taking_overrides();
    let steering = super::Steering::in_redis(redis.link().await, registry);
    assert!(steering.first(Duration::from_secs(60)).await);
    let steering = Arc::new(steering);
    let stop = tokio_util::sync::CancellationToken::new();
    let (follower, until) = (steering.clone(), stop.clone());
    tokio::spawn(async move {
        let subjects = sluice_protocol::Subjects::default();
        follower.follow(None, &subjects, until).await;
    });
    (steering, stop.drop_guard())
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(waited.is_ok(), "{what}");
}

fn knows(steering: &super::Steering, key: &Key) -> bool {
    steering.overrides().get(key).is_some()
}

#[tokio::test]
async fn what_one_gateway_decides_another_sees_without_a_hint_and_a_third_from_its_start() {
    let redis = TestRedis::start();
    let (one, _one) = gateway(&redis).await;
    let (two, _two) = gateway(&redis).await;
    let key = Key::Disabled(version_of(Some("1.0.0")));
    let changed = one
        .decide(Decision::Flag(key.clone()), "ann")
        .await
        .unwrap();
    assert_eq!((changed.before, knows(&one, &key)), (None, true));
    until("the second gateway sees it", || knows(&two, &key)).await;
    let (three, _three) = gateway(&redis).await;
    assert!(knows(&three, &key), "before it serves");
    let changed = two.withdraw(&key).await.unwrap();
    assert_eq!(changed.before.unwrap().value.by, "ann");
    until("all see that", || {
        !knows(&one, &key) && !knows(&three, &key)
    })
    .await;
}

#[tokio::test]
async fn what_one_gateway_decides_is_pushed_to_the_others() {
    let redis = TestRedis::start();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let broker = sluice_broker::Broker::spawn(address, sluice_broker::BrokerOptions::default());
    let broker = broker.await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mut all = Vec::new();
    for _ in 0..2 {
        let registry = crate::registry::Registry::taking_overrides();
        let mut steering = super::Steering::in_redis(redis.link().await, registry);
        // Nobody waits for that.
        steering.poll = Duration::from_secs(3600);
        assert!(steering.first(Duration::from_secs(60)).await);
        let steering = Arc::new(steering);
        let client = async_nats::connect(broker.url()).await.unwrap();
        let (follower, until) = (steering.clone(), stop.clone());
        tokio::spawn(async move {
            let subjects = sluice_protocol::Subjects::default();
            follower.follow(Some(client), &subjects, until).await;
        });
        all.push(steering);
    }
    // The second one may still be subscribing at the first.
    let mut decided = 0;
    let wait = async {
        loop {
            let key = Key::Disabled(version_of(Some(&format!("{decided}.0.0"))));
            decided += 1;
            let decision = Decision::Flag(key.clone());
            all[0].decide(decision, "ann").await.unwrap();
            for _ in 0..100 {
                if knows(&all[1], &key) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(heard.is_ok(), "the second gateway was not told");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_decision_after_a_loss_does_not_replace_what_was_decided_before() {
    let mut redis = TestRedis::start();
    let (one, _one) = gateway(&redis).await;
    let (two, _two) = gateway(&redis).await;
    let first = Key::Disabled(version_of(Some("1.0.0")));
    let second = Key::Disabled(version_of(Some("2.0.0")));
    one.decide(Decision::Flag(first.clone()), "ann")
        .await
        .unwrap();
    until("the second gateway knows", || knows(&two, &first)).await;
    redis.kill();
    redis.spawn();
    // As soon as Redis takes it: nobody has had to notice the loss before.
    let wait = async {
        while two
            .decide(Decision::Flag(second.clone()), "bob")
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap();
    let (three, _three) = gateway(&redis).await;
    assert!(knows(&three, &first) && knows(&three, &second));
}

#[tokio::test]
async fn decisions_of_many_at_once_are_all_in_force_in_the_end() {
    let redis = TestRedis::start();
    let (one, _one) = gateway(&redis).await;
    let (two, _two) = gateway(&redis).await;
    let keys: Vec<Key> = (0..40)
        .map(|n| Key::Disabled(version_of(Some(&format!("{n}.0.0")))))
        .collect();
    let all = keys.iter().enumerate().map(|(n, key)| {
        let steering = if n % 2 == 0 { &one } else { &two };
        steering.decide(Decision::Flag(key.clone()), "ann")
    });
    for changed in futures_util::future::join_all(all).await {
        changed.unwrap();
    }
    for steering in [&one, &two] {
        until("all are known", || {
            keys.iter().all(|key| knows(steering, key))
        })
        .await;
    }
}
