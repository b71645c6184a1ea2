//! Calls that are answered once, acknowledged, or refused.

use serde_json::{Value, json};
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Payload};
use tokio_tungstenite::tungstenite::Message;

use super::rig::{Rig, options, success};
use crate::edge::phoenix::options::Phoenix as Options;
use crate::reply::Reply;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn failure(id: &str, code: &str, text: &str, retry: bool) -> Value {
    json!({
        "request_id": id, "success": false, "result": null, "error": text,
        "async": false, "has_more": false, "can_retry": retry, "error_code": code,
        "error_source": ErrorCode::parse(code).unwrap().source().as_str(),
        "details": {"executed": "no"},
    })
}

fn reply(reference: &str, status: &str, response: Value) -> Value {
    json!(["1", reference, "api:x", "phx_reply", {"status": status, "response": response}])
}

#[tokio::test(start_paused = true)]
async fn a_call_is_accepted_before_it_is_answered() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!(["1", "5", "api:x", "phoenix_gen_api", {
        "request_id": "r", "service": "s", "request_type": "f", "version": "1.2",
        "args": {"n": 1}, "timeout_ms": 7, "trace": TRACE, "idempotency_key": "k",
    }]));
    rig.expect(reply("5", "ok", json!("f"))).await;
    let asked = rig.asked().await;
    assert_eq!(asked.call.service.as_str(), "s");
    assert_eq!(asked.call.version.as_deref(), Some("1.2"));
    assert_eq!(asked.call.args.bytes, r#"{"n":1}"#);
    assert_eq!(asked.call.timeout_ms, Some(7));
    assert_eq!(
        asked
            .call
            .trace
            .as_ref()
            .map(|t| t.parent.to_string())
            .as_deref(),
        Some(TRACE)
    );
    assert_eq!(asked.call.idempotency_key.as_deref(), Some("k"));
    assert!(!asked.call.idempotent_only);
    rig.quiet().await;
    asked.result(r#"{"m":1.0e2}"#);
    let Message::Text(text) = rig.frame().await else {
        panic!("not text");
    };
    // Spliced in, digit for digit.
    assert!(text.contains(r#""result":{"m":1.0e2},"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_push_without_ref_gets_its_response_only() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!(["1", null, "api:x", "phoenix_gen_api",
        {"request_id": "r", "service": "s", "request_type": "f"}]));
    rig.asked().await.result("null");
    assert_eq!(
        rig.response().await,
        success("r", [false, false], Value::Null)
    );
    rig.send(json!(["1", null, "api:x", "phoenix_gen_api", {}]));
    assert_eq!(rig.response().await["error_code"], "invalid_request");
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn none_says_nothing_on_success_and_errors_are_pushed() {
    let mut rig = Rig::joined("api:x").await;
    rig.accepted("r").await.give(Reply::Accepted);
    rig.quiet().await;
    // The id is free again.
    let error = CallError::new(ErrorCode::NoWorkers, "nobody");
    rig.accepted("r").await.fail(error);
    assert_eq!(
        rig.response().await,
        failure("r", "no_workers", "nobody", true)
    );
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn async_is_acknowledged_and_answered_late() {
    let mut rig = Rig::joined("api:x").await;
    let (late, cancelled) = rig.accepted("r").await.acknowledge(Reply::Async);
    assert_eq!(
        rig.response().await,
        success("r", [true, false], Value::Null)
    );
    rig.quiet().await;
    late.send(Answer::Result(Payload::json("5"))).await.unwrap();
    assert_eq!(rig.response().await, success("r", [false, false], json!(5)));
    assert!(!cancelled.is_cancelled());
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_request_is_refused_in_reply_and_push() {
    let mut rig = Rig::joined("api:x").await;
    let rows = [
        (
            json!({}),
            "unknown",
            "missing required fields: request_type, service",
        ),
        (
            json!({"request_id": "r"}),
            "r",
            "missing required fields: request_type, service",
        ),
        (
            json!({"service": "s", "request_type": "f"}),
            "unknown",
            "missing required fields: request_id",
        ),
        (
            json!({"request_id": "", "service": "s", "request_type": "f"}),
            "unknown",
            "missing required fields: request_id",
        ),
        (json!([1]), "unknown", "not a valid JSON object"),
        (json!(null), "unknown", "not a valid JSON object"),
        (
            json!({"request_id": "r", "service": "s", "request_type": "f", "args": 5}),
            "r",
            "\"args\" must be an object",
        ),
        (
            json!({"request_id": "r\n", "service": "s", "request_type": "f"}),
            "unknown",
            "control characters",
        ),
        (
            json!({"request_id": "x".repeat(129), "service": "s", "request_type": "f"}),
            "unknown",
            "at most 128 bytes",
        ),
        (
            json!({"request_id": 5, "service": "s", "request_type": "f"}),
            "unknown",
            "request_id",
        ),
    ];
    for (payload, id, text) in rows {
        rig.send(json!(["1", "5", "api:x", "phoenix_gen_api", payload]));
        let replied = rig.json().await;
        let pushed = rig.response().await;
        assert_eq!(replied, reply("5", "error", pushed.clone()), "{payload}");
        assert_eq!(pushed["request_id"], id, "{payload}");
        assert_eq!(pushed["error_code"], "invalid_request");
        assert!(
            pushed["error"].as_str().unwrap().contains(text),
            "{payload}: {pushed}"
        );
    }
    assert!(rig.try_asked().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_cannot_be_used_again_on_any_channel() {
    let mut rig = Rig::joined("api:x").await;
    rig.join("2", "api:y").await;
    let first = rig.accepted("r").await;
    let text = "a request with this request_id is still in flight on this socket";
    let refusal = failure("r", "duplicate_request", text, false);
    rig.request("r", json!({}));
    rig.expect(reply("r", "error", refusal.clone())).await;
    assert_eq!(rig.response().await, refusal);
    rig.send(json!(["2", null, "api:y", "phoenix_gen_api",
        {"request_id": "r", "service": "s", "request_type": "f"}]));
    rig.expect(json!(["2", null, "api:y", "phoenix_gen_api", refusal]))
        .await;
    first.result("1");
    assert_eq!(rig.response().await, success("r", [false, false], json!(1)));
    rig.accepted("r").await.result("2");
    assert_eq!(rig.response().await, success("r", [false, false], json!(2)));
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_must_be_one() {
    let mut rig = Rig::joined("api:x").await;
    for key in [
        String::new(),
        "k".repeat(256),
        "é".to_owned(),
        "a\nb".to_owned(),
    ] {
        rig.send(json!(["1", null, "api:x", "phoenix_gen_api", {
            "request_id": "r", "service": "s", "request_type": "f", "idempotency_key": key,
        }]));
        let refused = rig.response().await;
        assert_eq!(refused["error_code"], "invalid_request", "{key:?}");
        assert!(rig.try_asked().is_none(), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_bounded() {
    let mut rig = Rig::with(Options {
        max_in_flight: 1,
        ..options()
    });
    rig.join("1", "api:x").await;
    let first = rig.accepted("r1").await;
    rig.request("r2", json!({}));
    let replied = rig.json().await;
    let pushed = rig.response().await;
    assert_eq!(replied, reply("r2", "error", pushed.clone()));
    assert_eq!(pushed["error_code"], "overloaded");
    assert_eq!(pushed["can_retry"], true);
    first.result("1");
    assert_eq!(rig.response().await["success"], true);
    rig.accepted("r2").await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_may_respond_in_replies() {
    let mut rig = Rig::joined("rpc:x").await;
    let push = |id: &str| json!(["1", id, "rpc:x", "call", {"request_id": id, "service": "s", "request_type": "f"}]);
    let replied = |id: &str, status: &str, response: Value| json!(["1", id, "rpc:x", "phx_reply", {"status": status, "response": response}]);
    rig.send(push("a"));
    let asked = rig.asked().await;
    rig.quiet().await;
    asked.result("[1]");
    rig.expect(replied("a", "ok", success("a", [false, false], json!([1]))))
        .await;

    rig.send(push("b"));
    rig.asked()
        .await
        .fail(CallError::new(ErrorCode::PermissionDenied, "no"));
    rig.expect(replied(
        "b",
        "error",
        failure("b", "permission_denied", "no", false),
    ))
    .await;

    rig.send(push("c"));
    rig.asked().await.give(Reply::Accepted);
    rig.expect(replied("c", "ok", json!("f"))).await;

    rig.send(push("d"));
    let (late, _cancelled) = rig.asked().await.acknowledge(Reply::Async);
    rig.expect(replied("d", "ok", json!("f"))).await;
    rig.expect(json!([
        "1",
        null,
        "rpc:x",
        "call",
        success("d", [true, false], Value::Null)
    ]))
    .await;
    late.send(Answer::Result(Payload::json("2"))).await.unwrap();
    rig.expect(json!([
        "1",
        null,
        "rpc:x",
        "call",
        success("d", [false, false], json!(2))
    ]))
    .await;

    rig.send(json!(["1", "e", "rpc:x", "call", {}]));
    assert_eq!(rig.json().await[4]["status"], "error");
    // Without a ref there is nothing to reply to.
    rig.send(json!(["1", null, "rpc:x", "call",
        {"request_id": "f", "service": "s", "request_type": "f"}]));
    rig.asked().await.result("3");
    rig.expect(json!([
        "1",
        null,
        "rpc:x",
        "call",
        success("f", [false, false], json!(3))
    ]))
    .await;
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn results_that_do_not_fit_the_frame_become_errors() {
    let mut rig = Rig::joined("api:x").await;
    for payload in [
        // Binary has no form in JSON.
        Payload::message_pack(vec![0xc4, 1, 7]),
        Payload::json(&b"\"\xff\""[..]),
    ] {
        rig.accepted("r").await.give(Reply::Result(payload));
        let pushed = rig.response().await;
        assert_eq!(pushed["error_code"], "worker_error", "{pushed}");
        assert_eq!(pushed["details"]["executed"], "yes");
    }
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_cancels_its_calls() {
    for polite in [true, false] {
        let mut rig = Rig::joined("api:x").await;
        let mut asked = rig.accepted("r").await;
        if polite {
            rig.message(Message::Close(None));
        } else {
            rig.hang_up();
        }
        asked.answer.closed().await;
        rig.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_calls_at_once_are_each_answered_once() {
    let mut rig = Rig::with(Options {
        max_in_flight: 500,
        ..options()
    });
    rig.join("1", "api:x").await;
    for n in 0..500 {
        rig.request(&n.to_string(), json!({"n": n}));
    }
    let (mut replies, mut waiting) = (Vec::new(), Vec::new());
    while replies.len() < 500 {
        replies.push(
            rig.json().await[1]
                .as_str()
                .unwrap()
                .parse::<u32>()
                .unwrap(),
        );
    }
    assert!(
        replies.iter().copied().eq(0..500),
        "replies come in the order of their pushes"
    );
    for _ in 0..500 {
        waiting.push(rig.asked().await);
    }
    for asked in waiting.into_iter().rev() {
        let args = std::str::from_utf8(&asked.call.args.bytes)
            .unwrap()
            .to_owned();
        asked.result(&args);
    }
    let mut answered = vec![false; 500];
    for _ in 0..500 {
        let response = rig.response().await;
        let n = response["result"]["n"].as_u64().unwrap() as usize;
        assert_eq!(response["request_id"], n.to_string());
        assert!(!std::mem::replace(&mut answered[n], true));
    }
    rig.quiet().await;
}
