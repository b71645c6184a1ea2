//! Joins, leaves, heartbeats, and what belongs to no channel.

use std::time::Duration;

use serde_json::json;
use sluice_protocol::Identity;
use tokio::time::{Instant, advance};

use super::rig::{Rig, options, success};
use crate::edge::phoenix::frame::Vsn;
use crate::edge::phoenix::options::Phoenix as Options;

fn ok(join_ref: &str, reference: &str, topic: &str) -> serde_json::Value {
    json!([join_ref, reference, topic, "phx_reply", {"status": "ok", "response": {}}])
}

fn close(join_ref: &str, topic: &str) -> serde_json::Value {
    json!([join_ref, join_ref, topic, "phx_close", {}])
}

fn unmatched(reference: &str, topic: &str) -> serde_json::Value {
    json!([null, reference, topic, "phx_reply",
        {"status": "error", "response": {"reason": "unmatched topic"}}])
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_answered_and_then_closed() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!(["1", "2", "api:x", "phx_leave", {}]));
    rig.expect(ok("1", "2", "api:x")).await;
    rig.expect(close("1", "api:x")).await;
    // Left already: Phoenix says ok, and there is nothing to close.
    rig.send(json!(["1", "3", "api:x", "phx_leave", {}]));
    rig.expect(ok("1", "3", "api:x")).await;
    rig.request("r", json!({}));
    rig.expect(unmatched("r", "api:x")).await;
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_cancels_the_calls_of_its_channel_only() {
    let mut rig = Rig::joined("api:x").await;
    rig.join("2", "api:y").await;
    let mut left = rig.accepted("r1").await;
    rig.send(json!(["2", "9", "api:y", "phoenix_gen_api",
        {"request_id": "r2", "service": "s", "request_type": "f"}]));
    rig.expect(json!(["2", "9", "api:y", "phx_reply", {"status": "ok", "response": "f"}]))
        .await;
    let kept = rig.asked().await;
    rig.send(json!(["1", "3", "api:x", "phx_leave", {}]));
    rig.expect(ok("1", "3", "api:x")).await;
    rig.expect(close("1", "api:x")).await;
    left.answer.closed().await;
    kept.result("1");
    rig.expect(json!([
        "2",
        null,
        "api:y",
        "phoenix_gen_api",
        success("r2", [false, false], json!(1))
    ]))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rejoin_closes_the_former_join_and_cancels_its_calls() {
    let mut rig = Rig::joined("api:x").await;
    let mut former = rig.accepted("r").await;
    rig.send(json!(["7", "8", "api:x", "phx_join", {}]));
    rig.expect(ok("7", "8", "api:x")).await;
    rig.expect(close("1", "api:x")).await;
    former.answer.closed().await;
    // The id is free again: its call is no longer in flight.
    rig.send(json!(["7", "9", "api:x", "phoenix_gen_api",
        {"request_id": "r", "service": "s", "request_type": "f"}]));
    rig.expect(json!(["7", "9", "api:x", "phx_reply", {"status": "ok", "response": "f"}]))
        .await;
    rig.asked().await.result("2");
    rig.expect(json!([
        "7",
        null,
        "api:x",
        "phoenix_gen_api",
        success("r", [false, false], json!(2))
    ]))
    .await;
}

#[tokio::test(start_paused = true)]
async fn frames_of_a_former_join_are_ignored() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!(["2", "2", "api:x", "phx_join", {}]));
    rig.expect(ok("2", "2", "api:x")).await;
    rig.expect(close("1", "api:x")).await;
    rig.request("r", json!({}));
    rig.send(json!(["1", "3", "api:x", "phx_leave", {}]));
    rig.send(json!(["1", "4", "api:x", "stop_stream", {"request_id": "r"}]));
    // 2 is not "2".
    rig.send(json!([2, "5", "api:x", "phx_leave", {}]));
    rig.quiet().await;
    assert!(rig.try_asked().is_none());
    // Without a join_ref, as clients of version 1 do it.
    rig.send(json!([null, "6", "api:x", "phx_leave", {}]));
    rig.expect(ok("2", "6", "api:x")).await;
    rig.expect(close("2", "api:x")).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_serves_is_unmatched() {
    let mut rig = Rig::new();
    for (n, topic) in ["room:1", "api", "phoenix", ""].into_iter().enumerate() {
        let n = n.to_string();
        rig.send(json!([n, n, topic, "phx_join", {}]));
        rig.expect(unmatched(&n, topic)).await;
    }
    rig.send(json!([null, "x", "phoenix", "other", {}]));
    rig.expect(unmatched("x", "phoenix")).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_event_is_answered_where_an_answer_is_wanted() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!(["1", "2", "api:x", "shout", {}]));
    rig.expect(json!(["1", "2", "api:x", "phx_reply",
        {"status": "error", "response": {"reason": "unknown event"}}]))
        .await;
    rig.send(json!(["1", null, "api:x", "shout", {}]));
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn refs_that_are_numbers_come_back_as_numbers() {
    let mut rig = Rig::new();
    rig.text(r#"[1, 2, "api:x", "phx_join", {}]"#);
    rig.expect(json!([1, 2, "api:x", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    rig.text(r#"[1, 3, "api:x", "phx_leave", {}]"#);
    rig.expect(json!([1, 3, "api:x", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    rig.expect(json!([1, 1, "api:x", "phx_close", {}])).await;
}

#[tokio::test(start_paused = true)]
async fn names_are_escaped_on_their_way_back() {
    let mut rig = Rig::new();
    let topic = "api:\"\\\n☃\u{0}";
    let reference = "\"]";
    rig.send(json!([reference, reference, topic, "phx_join", {}]));
    rig.expect(ok(reference, reference, topic)).await;
    rig.send(json!([reference, "2", topic, "phx_leave", {}]));
    rig.expect(ok(reference, "2", topic)).await;
    rig.expect(close(reference, topic)).await;
}

#[tokio::test(start_paused = true)]
async fn version_1_speaks_objects() {
    let mut rig = Rig::start(options(), Vsn::V1, false, 64);
    rig.send(json!({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "1"}));
    rig.expect(json!({"topic": "phoenix", "event": "phx_reply", "ref": "1",
        "payload": {"status": "ok", "response": {}}}))
        .await;
    let join = json!({"topic": "api:x", "event": "phx_join", "payload": {}, "ref": "2"});
    let joined = json!({"topic": "api:x", "event": "phx_reply", "ref": "2",
        "payload": {"status": "ok", "response": {}}});
    rig.send(join.clone());
    rig.expect(joined.clone()).await;
    // A rejoin: a close would be taken for one of the new join.
    rig.send(join);
    rig.expect(joined).await;
    rig.send(
        json!({"topic": "api:x", "event": "phoenix_gen_api", "ref": "3",
        "payload": {"request_id": "r", "service": "s", "request_type": "f"}}),
    );
    rig.expect(json!({"topic": "api:x", "event": "phx_reply", "ref": "3",
        "payload": {"status": "ok", "response": "f"}}))
        .await;
    rig.asked().await.result("[1]");
    rig.expect(
        json!({"topic": "api:x", "event": "phoenix_gen_api", "ref": null,
        "payload": success("r", [false, false], json!([1]))}),
    )
    .await;
    rig.send(json!({"topic": "api:x", "event": "phx_leave", "payload": {}, "ref": "4"}));
    rig.expect(json!({"topic": "api:x", "event": "phx_reply", "ref": "4",
        "payload": {"status": "ok", "response": {}}}))
        .await;
    rig.expect(json!({"topic": "api:x", "event": "phx_close", "ref": null, "payload": {}}))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_and_one_that_beats_is_not() {
    let mut rig = Rig::joined("api:x").await;
    for _ in 0..5 {
        advance(Duration::from_secs(45)).await;
        rig.quiet().await;
    }
    let start = Instant::now();
    rig.closed_with(1001, "idle: nothing heard, no heartbeat")
        .await;
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn channels_of_a_socket_are_bounded() {
    let mut rig = Rig::with(Options {
        max_channels: 2,
        ..options()
    });
    rig.join("1", "api:1").await;
    rig.join("2", "api:2").await;
    rig.send(json!(["3", "3", "api:3", "phx_join", {}]));
    rig.expect(json!(["3", "3", "api:3", "phx_reply",
        {"status": "error", "response": {"reason": "a socket has at most 2 channels"}}]))
        .await;
    // A rejoin needs no more than it had.
    rig.send(json!(["4", "4", "api:2", "phx_join", {}]));
    rig.expect(ok("4", "4", "api:2")).await;
    rig.expect(close("2", "api:2")).await;
}

#[tokio::test(start_paused = true)]
async fn identity_comes_from_the_join_where_claims_are_trusted() {
    for trusted in [true, false] {
        let mut rig = Rig::start(options(), Vsn::V2, trusted, 64);
        rig.send(json!(["1", "1", "api:x", "phx_join", {"user_id": "joined"}]));
        rig.expect(ok("1", "1", "api:x")).await;
        rig.send(
            json!(["1", null, "api:x", "phoenix_gen_api", {"request_id": "r", "service": "s",
            "request_type": "f", "user_id": "claimed", "device_id": "d"}]),
        );
        let identity = Identity {
            user_id: trusted.then(|| "joined".to_owned()),
            device_id: trusted.then(|| "d".to_owned()),
            roles: Vec::new(),
        };
        assert_eq!(rig.asked().await.call.identity, identity);
    }
}
