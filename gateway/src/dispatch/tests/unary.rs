//! One answer: results, errors, retries, where attempts go.

use std::collections::HashMap;
use std::time::Duration;

use sluice_protocol::function::{ChooseNodeMode, ResponseType, Timeout};
use sluice_protocol::headers as h;
use sluice_protocol::response::Answer;
use sluice_protocol::retry::{Retry, RetryMode};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};

use crate::dispatch::fake::{Rig, accepted, call, error, header, item, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::reply::Reply;

fn overloaded() -> CallError {
    CallError::new(ErrorCode::Overloaded, "full")
}

#[tokio::test(start_paused = true)]
async fn a_sync_call_carries_its_headers_and_returns_the_result() {
    let mut rig = Rig::new(spec(), &["a"]);
    let mut request = call(r#"{"x":1}"#);
    request.identity.user_id = Some("u,1".into());
    request.timeout_ms = Some(700);
    let running = rig.start(request);
    let message = rig.sent().await;
    assert_eq!(message.subject, "sluice.call.s.=.f");
    assert_eq!(message.body, r#"{"x":1}"#);
    assert_eq!(header(&message, h::USER), "u%2C1");
    assert_eq!(header(&message, h::REQUEST_ID), "r1");
    assert_eq!(header(&message, h::DEADLINE), "700");
    rig.reply(&message, result(r#"{"y":2}"#));
    match running.await.unwrap().unwrap() {
        Reply::Result(payload) => assert_eq!(payload, Payload::json(r#"{"y":2}"#)),
        other => panic!("{other:?}"),
    }
    assert!(rig.inbox.is_empty(), "the reply subject is given up");
}

#[tokio::test(start_paused = true)]
async fn hostile_replies_become_a_clear_error() {
    let answers: Vec<(Delivery, &str)> = vec![
        (
            Delivery::Frame(result("{\"a\":")),
            "its result is not valid json",
        ),
        (
            Delivery::Frame(result("1 2")),
            "its result is not valid json",
        ),
        (Delivery::Frame(item(1)), "sent a stream item"),
        (
            Delivery::Frame(Frame::End { count: 0 }),
            "sent a stream's end",
        ),
        (
            Delivery::Malformed("reply of unknown kind \"x\"".into()),
            "unknown kind",
        ),
    ];
    for (delivery, text) in answers {
        let mut rig = Rig::new(spec(), &["a"]);
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.deliver(&message, delivery);
        let error = running.await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::WorkerError);
        assert!(error.message.contains(text), "{}", error.message);
        assert_eq!(error.executed, Executed::Unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_said_at_once() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.deliver(&message, Delivery::NoResponders);
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::NoWorkers, Executed::No)
    );
    assert!(error.can_retry);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_respond_or_is_full_is_passed_over_at_once() {
    let mut spec = spec();
    spec.choose_node_mode = ChooseNodeMode::RoundRobin;
    let mut rig = Rig::new(spec, &["a", "b", "c"]);
    let running = rig.start(call("{}"));
    let first = rig.sent().await;
    assert_eq!(first.subject, "sluice.inst.s.a.=.f");
    rig.deliver(&first, Delivery::NoResponders);
    let second = rig.sent().await;
    rig.reply(&second, error(overloaded(), "x"));
    let third = rig.sent().await;
    let mut subjects = [&first, &second, &third].map(|m| m.subject.clone());
    subjects.sort();
    assert_eq!(
        subjects,
        ["a", "b", "c"].map(|i| format!("sluice.inst.s.{i}.=.f"))
    );
    rig.reply(&third, result("1"));
    assert!(running.await.unwrap().is_ok());
    assert!(
        !rig.instances[0].is_available(0),
        "it is suspended for a while"
    );
}

#[tokio::test(start_paused = true)]
async fn all_full_is_overloaded() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    let running = rig.start(call("{}"));
    for who in ["a", "b"] {
        let message = rig.sent().await;
        rig.reply(&message, error(overloaded(), who));
    }
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Overloaded, Executed::No)
    );
}

#[tokio::test(start_paused = true)]
async fn a_workers_error_is_repeated_only_where_both_sides_allow_it() {
    for (can_retry, retries, attempts) in [(false, 3, 1), (true, 0, 1), (true, 2, 3)] {
        let mut spec = spec();
        spec.retry = (retries > 0).then_some(Retry {
            mode: RetryMode::AllNodes,
            attempts: retries,
        });
        let mut rig = Rig::new(spec, &["a"]);
        let running = rig.start(call("{}"));
        for _ in 0..attempts {
            let message = rig.sent().await;
            let mut failure =
                CallError::new(ErrorCode::WorkerError, "no").with_executed(Executed::Yes, true);
            failure.can_retry = can_retry;
            rig.reply(&message, error(failure, "a"));
        }
        let error = running.await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::WorkerError);
        assert!(rig.sent_now().is_none());
        let told = error.details.and_then(|d| d.get("attempts").cloned());
        assert_eq!(told, (attempts > 1).then(|| attempts.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn same_node_goes_back_to_the_same_instance() {
    let mut spec = spec();
    spec.choose_node_mode = ChooseNodeMode::Random;
    spec.retry = Some(Retry {
        mode: RetryMode::SameNode,
        attempts: 3,
    });
    let mut rig = Rig::new(spec, &["a", "b", "c"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    let mut failure = CallError::new(ErrorCode::WorkerError, "no");
    failure.can_retry = true;
    rig.reply(&message, accepted("b"));
    rig.reply(&message, error(failure, "b"));
    let again = rig.sent().await;
    assert_eq!(again.subject, "sluice.inst.s.b.=.f");
    rig.reply(&again, result("1"));
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_after_the_deadline_finds_nobody() {
    let mut spec = spec();
    spec.timeout = Timeout::Millis(500);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Timeout, Executed::Unknown)
    );
    assert!(!error.can_retry, "it may have run and is not idempotent");
    // The worker that took it is told once it says who it is.
    rig.reply(&message, crate::dispatch::fake::beat("a", 0));
    let control = rig.sent().await;
    assert_eq!(control.subject, "sluice.inst.s.a.control");
    assert!(
        std::str::from_utf8(&control.body)
            .unwrap()
            .contains("\"cancel\"")
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempts_own_limit_leaves_time_for_another() {
    let mut spec = spec();
    spec.attempt_timeout_ms = Some(200);
    spec.retry = Some(Retry {
        mode: RetryMode::AllNodes,
        attempts: 1,
    });
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let first = rig.sent_call().await;
    let second = rig.sent_call().await;
    // A cancel of the first must not hit the second.
    assert_ne!(header(&first, h::CALL_ID), header(&second, h::CALL_ID));
    assert_eq!(
        (header(&first, h::ATTEMPT), header(&second, h::ATTEMPT)),
        (String::new(), "2".into()),
        "the first says nothing of it (ADR 8)"
    );
    assert_ne!(first.reply, second.reply);
    // The first attempt's answer comes too late: its subject is gone.
    rig.reply(&first, result("\"first\""));
    rig.reply(&second, result("\"second\""));
    match running.await.unwrap().unwrap() {
        Reply::Result(payload) => assert_eq!(payload, Payload::json("\"second\"")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn none_is_done_when_a_worker_took_it_and_refusals_are_told() {
    let mut spec = spec();
    spec.response_type = ResponseType::None;
    let mut rig = Rig::new(spec.clone(), &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    assert!(matches!(running.await.unwrap(), Ok(Reply::Accepted)));
    assert!(
        rig.sent_now().is_none(),
        "a call that was taken is not cancelled"
    );

    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, error(overloaded(), "a"));
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::Overloaded
    );
}

#[tokio::test(start_paused = true)]
async fn an_async_call_is_acknowledged_and_answers_once() {
    let mut spec = spec();
    spec.response_type = ResponseType::Async;
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    let Ok(Reply::Async(mut answers)) = running.await.unwrap() else {
        panic!("no ack")
    };
    rig.reply(&message, result("7"));
    rig.reply(&message, result("8"));
    assert_eq!(
        answers.next().await,
        Some(Answer::Result(Payload::json("7")))
    );
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn args_above_the_brokers_limit_are_refused_with_both_numbers() {
    let rig = Rig::new(spec(), &["a"]);
    let mut request = call("{}");
    request.args = Payload::json(format!("{{\"x\":\"{}\"}}", "y".repeat(10_000)));
    let error = rig.start(request).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    assert_eq!(error.details.unwrap()["limit"], 10_000);
}

#[tokio::test(start_paused = true)]
async fn round_robin_is_exact_and_hash_and_sticky_keep_their_keys() {
    let modes = [
        ChooseNodeMode::RoundRobin,
        ChooseNodeMode::HashArg("key".into()),
        ChooseNodeMode::Sticky("key".into()),
    ];
    for mode in modes {
        let mut spec = spec();
        spec.choose_node_mode = mode.clone();
        let mut rig = Rig::new(spec, &["a", "b", "c"]);
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..30 {
            let running = rig.start(call(r#"{"key":"k1"}"#));
            let message = rig.sent().await;
            *counts.entry(message.subject.to_string()).or_default() += 1;
            rig.reply(&message, result("1"));
            running.await.unwrap().unwrap();
        }
        match mode {
            ChooseNodeMode::RoundRobin => assert!(counts.values().all(|c| *c == 10), "{counts:?}"),
            _ => assert_eq!(counts.len(), 1, "{mode:?} {counts:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels_its_call() {
    let mut rig = Rig::new(spec(), &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, crate::dispatch::fake::beat("a", 0));
    tokio::time::sleep(Duration::from_millis(1)).await;
    running.abort();
    let control = rig.sent().await;
    assert_eq!(control.subject, "sluice.inst.s.a.control");
    let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
    assert_eq!(body["type"], "cancel");
    assert_eq!(body["call"], crate::dispatch::fake::call_id(&message));
}

#[tokio::test(start_paused = true)]
async fn plain_responders_get_headers_unless_they_want_none() {
    for bare in [false, true] {
        let mut rig = Rig::new(spec(), &[]);
        rig.set_bare(bare);
        let running = rig.start(call("{}"));
        let message = rig.sent_call().await;
        assert_eq!(&*message.subject, "fixed");
        assert_eq!(message.headers.is_empty(), bare);
        rig.reply(&message, result("1"));
        running.await.unwrap().unwrap();
    }
}
