//! The limiter as the pipeline and operators see it.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::payload::Payload;
use sluice_protocol::{ErrorCode, Identity, Subjects};
use tokio_util::sync::CancellationToken;

use crate::config::{LimitOptions, OnFailure};
use crate::limiter::testing::limit;
use crate::limiter::{Asking, CountedArgs, Limit, Limiter, OperateError, Refusal};
use crate::pipeline::Caller;
use crate::redis_link::testing::{TestRedis, until};

/// One call of `user`; true: admitted, and some limit applied.
pub(super) async fn call(limiter: &Limiter, user: &str) -> Result<bool, Refusal> {
    let identity = Identity {
        user_id: Some(user.to_owned()),
        ..Identity::default()
    };
    let asking = Asking {
        service: "s",
        function: "f",
        identity: &identity,
        caller: &Caller::default(),
        args: CountedArgs::Today {
            given: &Payload::json("{}"),
            types: None,
        },
    };
    limiter.admit(&asking).await.map(|quota| quota.is_some())
}

fn options(on_failure: OnFailure) -> LimitOptions {
    LimitOptions {
        on_failure,
        poll: Duration::from_millis(100),
        ..LimitOptions::default()
    }
}

fn per_user(max: u32) -> Limit {
    limit("per-user", "user_id", max, 60_000)
}

fn values(value: &str) -> Vec<String> {
    vec![value.to_owned()]
}

#[tokio::test(start_paused = true)]
async fn a_call_over_its_limit_says_which_and_when_to_come_back() {
    let limiter = Limiter::in_memory(&[per_user(2)], &LimitOptions::default());
    assert!(call(&limiter, "u").await.unwrap());
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert!(call(&limiter, "u").await.unwrap());
    let error = call(&limiter, "u").await.unwrap_err().into_error(&"s.f");
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.can_retry);
    let details = error.details.unwrap();
    assert_eq!(details["limit"], "per-user");
    assert_eq!(details["retry_after_ms"], 58_500);
    assert!(call(&limiter, "v").await.unwrap());
    tokio::time::advance(Duration::from_millis(58_500)).await;
    assert!(call(&limiter, "u").await.unwrap());
    assert!(call(&limiter, "u").await.is_err());
    assert_eq!(limiter.list()[0].refused, 2);
}

#[tokio::test(start_paused = true)]
async fn shadow_counts_and_reports_and_admits() {
    let mut shadow = per_user(1);
    shadow.shadow = true;
    let limiter = Limiter::in_memory(&[shadow], &LimitOptions::default());
    for _ in 0..3 {
        call(&limiter, "u").await.unwrap();
    }
    let status = limiter.status("per-user", &values("u")).await.unwrap();
    assert_eq!((status.refused, status.shadow_exceeded), (0, 2));
    assert_eq!(status.key.unwrap().current_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn rules_change_while_it_runs() {
    let limiter = Limiter::in_memory(&[per_user(1)], &LimitOptions::default());
    assert!(call(&limiter, "u").await.is_ok());
    assert!(call(&limiter, "u").await.is_err());
    // What was used counts on.
    limiter.update(per_user(2)).await.unwrap();
    assert!(call(&limiter, "u").await.is_ok());
    assert!(call(&limiter, "u").await.is_err());
    limiter.reset("per-user", &values("u")).await.unwrap();
    assert!(call(&limiter, "u").await.is_ok());
    assert!(call(&limiter, "u").await.is_ok());
    assert!(call(&limiter, "u").await.is_err());
    limiter.reset("per-user", &[]).await.unwrap();
    assert!(call(&limiter, "u").await.is_ok());
    let again = limiter.add(per_user(9)).await.unwrap_err();
    assert_eq!(again, OperateError::Exists("per-user".into()));
    limiter.remove("per-user").await.unwrap();
    assert!(!call(&limiter, "u").await.unwrap());
    let gone = limiter.update(per_user(9)).await.unwrap_err();
    assert_eq!(gone, OperateError::Unknown("per-user".into()));
    limiter.add(per_user(1)).await.unwrap();
    // Who is added anew starts anew.
    assert!(call(&limiter, "u").await.unwrap());
    assert!(call(&limiter, "u").await.is_err());
    assert!(
        limiter
            .check("per-user", &values("v"))
            .await
            .unwrap()
            .is_ok()
    );
    assert!(
        limiter
            .check("per-user", &values("v"))
            .await
            .unwrap()
            .is_err()
    );
    let odd = limiter.check("per-user", &[]).await.unwrap_err();
    assert!(matches!(odd, OperateError::Values(_)), "{odd}");
}

async fn in_redis(redis: &TestRedis, limits: &[Limit], on_failure: OnFailure) -> Arc<Limiter> {
    let limiter = Limiter::in_redis(redis.link().await, limits, &options(on_failure), || 2);
    let limiter = Arc::new(limiter);
    let follower = limiter.clone();
    tokio::spawn(async move {
        let subjects = Subjects::new("sluice").unwrap();
        follower
            .follow(None, &subjects, CancellationToken::new())
            .await;
    });
    limiter
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(60);
    assert!(tokio::time::timeout(limit, looked).await.is_ok(), "{what}");
}

#[tokio::test]
async fn gateways_share_counts_and_changes_and_new_ones_know_them() {
    let redis = TestRedis::start();
    let base = [per_user(2)];
    let a = in_redis(&redis, &base, OnFailure::FailClosed).await;
    let b = in_redis(&redis, &base, OnFailure::FailClosed).await;
    assert!(call(&a, "u").await.is_ok());
    assert!(call(&b, "u").await.is_ok());
    assert!(call(&a, "u").await.is_err());
    assert!(call(&b, "u").await.is_err());
    // A reset on one clears what the other refuses by itself.
    a.reset("per-user", &values("u")).await.unwrap();
    eventually("b admits again", async || call(&b, "u").await.is_ok()).await;
    a.update(per_user(50)).await.unwrap();
    a.add(limit("added", "all", 1000, 60_000)).await.unwrap();
    eventually("b knows both", async || {
        b.list().len() == 2 && b.list()[0].limit["max_requests"] == 50
    })
    .await;
    let late = in_redis(&redis, &base, OnFailure::FailClosed).await;
    eventually("a new one too", async || late.list().len() == 2).await;
    // Changes of two at once are both kept.
    let (x, y) = (limit("x", "all", 1000, 1000), limit("y", "all", 1000, 1000));
    let (x, y) = tokio::join!(a.add(x), b.add(y));
    x.unwrap();
    y.unwrap();
    eventually("all know both", async || {
        [&a, &b, &late].iter().all(|l| l.list().len() == 4)
    })
    .await;
}

#[tokio::test]
async fn without_redis_the_policy_says_what_becomes_of_calls() {
    let mut redis = TestRedis::start();
    let base = [per_user(5)];
    let open = in_redis(&redis, &base, OnFailure::FailOpen).await;
    let closed = in_redis(&redis, &base, OnFailure::FailClosed).await;
    let local = in_redis(&redis, &base, OnFailure::Local).await;
    let all = [&open, &closed, &local];
    for limiter in all {
        assert!(call(limiter, "u").await.unwrap());
    }
    redis.kill();
    for _ in 0..8 {
        assert!(!call(&open, "u").await.unwrap());
        let refusal = call(&closed, "u").await.unwrap_err().into_error(&"s.f");
        assert_eq!(refusal.code, ErrorCode::LimiterUnavailable);
        assert!(refusal.can_retry);
    }
    // 5 shared by 2 gateways: 2 for this one.
    assert!(call(&local, "u").await.is_ok());
    assert!(call(&local, "u").await.is_ok());
    assert!(matches!(
        call(&local, "u").await,
        Err(Refusal::Limited { .. })
    ));
    redis.spawn();
    eventually("closed admits again", async || {
        call(&closed, "v").await.is_ok()
    })
    .await;
    eventually("open counts again", async || {
        call(&open, "w").await.is_ok_and(|q| q)
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_takes_no_writes_counts_as_away() {
    let redis = TestRedis::start();
    let closed = in_redis(&redis, &[per_user(5)], OnFailure::FailClosed).await;
    let link = redis.link().await;
    assert!(call(&closed, "u").await.is_ok());
    let replica = |of: [&str; 2]| {
        let mut command = redis::cmd("REPLICAOF");
        command.arg(&of[..]);
        command
    };
    let _: String = link.query(&replica(["127.0.0.1", "1"])).await.unwrap();
    let refusal = call(&closed, "u").await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable), "{refusal:?}");
    let _: String = link.query(&replica(["NO", "ONE"])).await.unwrap();
    until(&link, true).await;
    eventually("admits again", async || call(&closed, "u").await.is_ok()).await;
}

#[tokio::test]
async fn a_hint_over_the_broker_spares_waiting_for_the_poll() {
    let redis = TestRedis::start();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let broker = sluice_broker::Broker::spawn(address, sluice_broker::BrokerOptions::default());
    let broker = broker.await.unwrap();
    let options = LimitOptions {
        // Nobody waits for that.
        poll: Duration::from_secs(3600),
        ..LimitOptions::default()
    };
    let mut limiters = Vec::new();
    for _ in 0..2 {
        let limiter = Limiter::in_redis(redis.link().await, &[], &options, || 2);
        let client = async_nats::connect(broker.url()).await.unwrap();
        let follower = limiter.clone();
        tokio::spawn(async move {
            let subjects = Subjects::new("sluice").unwrap();
            let stop = CancellationToken::new();
            follower.follow(Some(client), &subjects, stop).await;
        });
        limiters.push(limiter);
    }
    // Noise on the subject is ignored.
    let client = async_nats::connect(broker.url()).await.unwrap();
    for body in ["", "{", r#"{"type":"other","protocol":1,"generation":9}"#] {
        client
            .publish("sluice.gateway.event", body.into())
            .await
            .unwrap();
    }
    let mut added = 0;
    // The second one may still be subscribing at the first.
    eventually("the other one has heard", async || {
        let name = format!("n{added}");
        limiters[0].add(limit(&name, "all", 5, 1000)).await.unwrap();
        added += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        !limiters[1].list().is_empty()
    })
    .await;
    broker.shutdown().await;
}
