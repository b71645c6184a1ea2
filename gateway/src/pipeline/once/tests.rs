//! The stage over a scripted broker.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use sluice_protocol::function::{FunctionSpec, ResponseType};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};

use crate::dispatch::fake::{Rig, accepted, call, error, result, spec};
use crate::idempotency::{Claim, Claimed, OnceStore, StoreError};
use crate::limiter::testing::limit;
use crate::limiter::{Limiter, Refused};
use crate::pipeline::Call;
use crate::reply::Reply;

fn keyed(key: &str, args: &'static str) -> Call {
    let mut call = call(args);
    call.idempotency_key = Some(key.to_owned());
    call
}

fn rig() -> Rig {
    Rig::new(spec(), &["a"])
}

async fn repeated(rig: &mut Rig, call: Call) -> Result<Payload, CallError> {
    let outcome = rig.start(call).await.unwrap();
    assert!(rig.sent_now().is_none(), "a repeated request ran again");
    match outcome? {
        Reply::Result(payload) => Ok(payload),
        other => panic!("{other:?}"),
    }
}

/// Runs a call that nobody made before, and answers it.
async fn first(rig: &mut Rig, call: Call, answer: Frame) -> Result<Reply, CallError> {
    let running = rig.start(call);
    let message = rig.sent_call().await;
    rig.reply(&message, answer);
    running.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_gets_the_same_answer_and_does_not_run() {
    let mut rig = rig();
    let ran = first(&mut rig, keyed("k", r#"{"x":1}"#), result("1.10")).await;
    assert!(matches!(ran, Ok(Reply::Result(_))), "{ran:?}");
    for _ in 0..2 {
        let again = repeated(&mut rig, keyed("k", r#"{"x":1}"#)).await;
        assert_eq!(again, Ok(Payload::json("1.10")));
    }
    let other = repeated(&mut rig, keyed("k", r#"{"x":2}"#)).await;
    let conflict = other.unwrap_err();
    assert_eq!(conflict.code, ErrorCode::IdempotencyConflict);
    assert_eq!(conflict.executed, Executed::No);
    assert_eq!(conflict.http_status(), 422);
}

#[tokio::test(start_paused = true)]
async fn other_keys_callers_and_calls_without_a_key_run() {
    let mut rig = rig();
    let mut of_user = keyed("k", "{}");
    of_user.identity.user_id = Some("u".to_owned());
    let mut of_address = keyed("k", "{}");
    of_address.caller.address = Some([10, 0, 0, 1].into());
    let calls = [
        keyed("k", "{}"),
        keyed("l", "{}"),
        of_user,
        of_address,
        call("{}"),
        call("{}"),
    ];
    for call in calls {
        let ran = first(&mut rig, call, result("1")).await;
        assert!(ran.is_ok(), "{ran:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_first_runs_a_second_is_refused_and_may_come_again() {
    let mut rig = rig();
    let running = rig.start(keyed("k", "{}"));
    let message = rig.sent_call().await;
    let refused = repeated(&mut rig, keyed("k", "{}")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::DuplicateRequest);
    assert!(refused.can_retry);
    assert_eq!(refused.executed, Executed::No);
    rig.reply(&message, result("1"));
    running.await.unwrap().unwrap();
    let again = repeated(&mut rig, keyed("k", "{}")).await;
    assert_eq!(again, Ok(Payload::json("1")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_finds_its_answer_when_it_comes_back() {
    let mut rig = rig();
    let running = rig.start(keyed("k", "{}"));
    let message = rig.sent_call().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert!(rig.sent_now().is_none(), "the call was cancelled");
    rig.reply(&message, result("1"));
    let again = loop {
        match repeated(&mut rig, keyed("k", "{}")).await {
            Err(error) if error.can_retry => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(again, Ok(Payload::json("1")));
}

#[tokio::test(start_paused = true)]
async fn an_error_repeats_unless_a_retry_can_help() {
    let mut rig = rig();
    let refusal = CallError::new(ErrorCode::WorkerError, "no such account")
        .with_executed(Executed::Yes, false);
    let ran = first(&mut rig, keyed("k", "{}"), error(refusal, "a")).await;
    let again = repeated(&mut rig, keyed("k", "{}")).await;
    assert_eq!(again.unwrap_err(), ran.unwrap_err());

    let full = CallError::new(ErrorCode::Overloaded, "full");
    let ran = first(&mut rig, keyed("l", "{}"), error(full, "a")).await;
    assert!(ran.unwrap_err().can_retry);
    let ran = first(&mut rig, keyed("l", "{}"), result("1")).await;
    assert!(ran.is_ok(), "{ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_has_to_be_taken_is_taken_once() {
    let spec = FunctionSpec {
        response_type: ResponseType::None,
        ..spec()
    };
    let mut rig = Rig::new(spec, &["a"]);
    let ran = first(&mut rig, keyed("k", "{}"), accepted("a")).await;
    assert!(matches!(ran, Ok(Reply::Accepted)), "{ran:?}");
    let again = rig.start(keyed("k", "{}")).await.unwrap();
    assert!(matches!(again, Ok(Reply::Accepted)), "{again:?}");
    assert!(rig.sent_now().is_none());
}

#[tokio::test(start_paused = true)]
async fn async_calls_and_streams_take_no_key() {
    for response_type in [ResponseType::Async, ResponseType::Stream] {
        let spec = FunctionSpec {
            response_type,
            ..spec()
        };
        let mut rig = Rig::new(spec, &["a"]);
        let error = rig.start(keyed("k", "{}")).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert!(error.message.contains("idempotency key"), "{error}");
        assert!(rig.sent_now().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_not_kept_and_the_call_not_repeated() {
    let mut rig = rig();
    let large: &'static str = format!("\"{}\"", "x".repeat(300 << 10)).leak();
    let ran = first(&mut rig, keyed("k", "{}"), result(large)).await;
    assert!(ran.is_ok(), "{ran:?}");
    let error = repeated(&mut rig, keyed("k", "{}")).await.unwrap_err();
    assert!(error.message.contains("too large"), "{error}");
    assert_eq!(error.executed, Executed::Yes);
    assert!(!error.can_retry);
}

#[derive(Debug)]
struct Away;

impl OnceStore for Away {
    fn claim<'a>(&'a self, _: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(ready(Err(StoreError::Unavailable("away".to_owned()))))
    }

    fn finish<'a>(
        &'a self,
        _: &'a Claim,
        _: Option<Bytes>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(Err(StoreError::Unavailable("away".to_owned()))))
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_store_a_call_with_a_key_does_not_run() {
    let mut rig = rig().with_once(Arc::new(Away));
    let error = repeated(&mut rig, keyed("k", "{}")).await.unwrap_err();
    assert_eq!(error.http_status(), 503);
    assert_eq!(error.executed, Executed::No);
    assert!(error.can_retry);
    let ran = first(&mut rig, call("{}"), result("1")).await;
    assert!(ran.is_ok(), "{ran:?}");
}

/// However a version is named, it is the one that is called.
#[tokio::test(start_paused = true)]
async fn the_same_version_by_another_name_is_the_same_request() {
    let mut versioned = spec();
    versioned.version = sluice_protocol::ApiVersion::new("1.0").ok();
    let mut rig = Rig::new(versioned, &["a"]);
    let named = |version: Option<&str>| {
        let mut call = keyed("k", "{}");
        call.version = version.map(str::to_owned);
        call
    };
    let ran = first(&mut rig, named(None), result("1.10")).await;
    assert!(ran.is_ok(), "{ran:?}");
    for version in [None, Some("1.0"), Some("0.0.0"), Some("^1"), Some("1.x")] {
        let again = repeated(&mut rig, named(version)).await;
        assert_eq!(again, Ok(Payload::json("1.10")), "{version:?}");
    }
}

/// A key that can never hold costs its caller no call of a limit, and nobody a question.
#[tokio::test(start_paused = true)]
async fn a_function_that_takes_no_key_says_so_before_anything_is_counted() {
    for response_type in [ResponseType::Async, ResponseType::Stream] {
        let mut function = spec();
        function.response_type = response_type;
        function.before_execute = Some(sluice_protocol::function::Callback {
            service: function.service.clone(),
            request_type: function.request_type.clone(),
            extra: None,
        });
        let mut rig = Rig::new(function, &["a"]);
        let limits = [limit("one", "all", 1, 60_000)];
        let limiter = Arc::new(Limiter::in_memory(&limits, &Default::default()));
        let pipeline = Arc::into_inner(rig.pipeline).unwrap();
        let refused = Arc::new(Refused::new(0));
        rig.pipeline = Arc::new(pipeline.limited_by(limiter.clone(), refused));
        let refused = rig.start(keyed("k", "{}")).await.unwrap().unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest, "{refused}");
        assert!(rig.sent_now().is_none());
        let status = limiter.status("one", &[String::new()]).await.unwrap();
        assert_eq!(status.key.unwrap().current_requests, 0);
    }
}
