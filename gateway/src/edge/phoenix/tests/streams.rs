//! Streams: order, ends, stops.

use serde_json::{Value, json};
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Payload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, item, options, success};
use crate::edge::phoenix::frame::Vsn;
use crate::reply::Reply;

async fn open(rig: &mut Rig, id: &str) -> (mpsc::Sender<Answer>, CancellationToken) {
    let opened = rig.accepted(id).await.acknowledge(Reply::Stream);
    assert_eq!(rig.response().await, success(id, [true, true], Value::Null));
    opened
}

fn stop(id: &str) -> Value {
    json!(["1", "s", "api:x", "stop_stream", {"request_id": id}])
}

fn stopped(status: &str, response: Value) -> Value {
    json!(["1", "s", "api:x", "phx_reply", {"status": status, "response": response}])
}

#[tokio::test(start_paused = true)]
async fn items_come_in_order_between_ack_and_end() {
    let mut rig = Rig::joined("api:x").await;
    let (items, cancelled) = open(&mut rig, "r").await;
    for n in 0..100 {
        items.send(item(&n.to_string())).await.unwrap();
    }
    items.send(Answer::StreamEnd).await.unwrap();
    for n in 0..100 {
        assert_eq!(rig.response().await, success("r", [true, true], json!(n)));
    }
    assert_eq!(
        rig.response().await,
        success("r", [true, false], Value::Null)
    );
    assert!(!cancelled.is_cancelled());
    rig.accepted("r").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_end_with_its_last_item_or_an_error() {
    let mut rig = Rig::joined("api:x").await;
    let (items, _cancelled) = open(&mut rig, "r").await;
    let payload = Payload::json("1");
    items
        .send(Answer::Item {
            payload,
            last: true,
        })
        .await
        .unwrap();
    assert_eq!(rig.response().await, success("r", [true, false], json!(1)));
    let (items, _cancelled) = open(&mut rig, "r").await;
    items
        .send(CallError::new(ErrorCode::StreamLost, "gap").into())
        .await
        .unwrap();
    assert_eq!(rig.response().await["error_code"], "stream_lost");
    rig.quiet().await;
    rig.accepted("r").await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_stream_and_frees_its_id() {
    let mut rig = Rig::joined("api:x").await;
    let (items, cancelled) = open(&mut rig, "r").await;
    rig.send(stop("r"));
    assert_eq!(
        rig.response().await,
        success("r", [true, false], Value::Null)
    );
    rig.expect(stopped("ok", json!({}))).await;
    cancelled.cancelled().await;
    items.closed().await;
    rig.send(stop("r"));
    rig.expect(stopped("error", json!({"reason": "not_found"})))
        .await;
    rig.accepted("r").await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_ack_ends_the_stream_as_soon_as_it_is_one() {
    let mut rig = Rig::joined("api:x").await;
    let asked = rig.accepted("r").await;
    rig.send(stop("r"));
    rig.expect(stopped("ok", json!({}))).await;
    let (items, cancelled) = asked.acknowledge(Reply::Stream);
    assert_eq!(
        rig.response().await,
        success("r", [true, false], Value::Null)
    );
    cancelled.cancelled().await;
    items.closed().await;
    // What is no stream is not stopped by it.
    let asked = rig.accepted("r").await;
    rig.send(stop("r"));
    rig.expect(stopped("ok", json!({}))).await;
    asked.result("1");
    assert_eq!(rig.response().await, success("r", [false, false], json!(1)));
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn only_streams_of_the_same_channel_are_found() {
    let mut rig = Rig::joined("api:x").await;
    rig.join("2", "api:y").await;
    let (_items, cancelled) = open(&mut rig, "r").await;
    let (_late, _) = rig.accepted("a").await.acknowledge(Reply::Async);
    assert_eq!(rig.response().await["has_more"], false);
    for payload in [
        json!({"request_id": "x"}),
        json!({"request_id": "a"}),
        json!({}),
        json!(null),
    ] {
        rig.send(json!(["1", "s", "api:x", "stop_stream", payload]));
        rig.expect(stopped("error", json!({"reason": "not_found"})))
            .await;
    }
    rig.send(json!(["2", "s", "api:y", "stop_stream", {"request_id": "r"}]));
    assert_eq!(rig.json().await[4]["response"]["reason"], "not_found");
    assert!(!cancelled.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_leave_and_a_rejoin_cancel_streams_without_a_word() {
    for event in ["phx_leave", "phx_join"] {
        let mut rig = Rig::joined("api:x").await;
        let (items, cancelled) = open(&mut rig, "r").await;
        rig.send(json!(["1", "9", "api:x", event, {}]));
        assert_eq!(rig.json().await[3], "phx_reply");
        assert_eq!(rig.json().await[3], "phx_close");
        cancelled.cancelled().await;
        items.closed().await;
        rig.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_starves_neither_pushes_nor_other_streams() {
    // A client that reads as fast as it can: nothing but turns holds the stream back.
    let mut rig = Rig::start(options(), Vsn::V2, true, 100_000);
    rig.join("1", "api:x").await;
    let (busy, _cancelled) = rig
        .accepted("busy")
        .await
        .acknowledge_with(Reply::Stream, 20_000);
    let (quiet, _cancelled_too) = rig.accepted_amid("quiet").await.acknowledge(Reply::Stream);
    for n in 0..20_000 {
        busy.try_send(item(&n.to_string())).unwrap();
    }
    quiet.send(Answer::StreamEnd).await.unwrap();
    rig.send(stop("busy"));
    let (mut items, mut stopped, mut quiet_ended) = (0, false, false);
    while !(stopped && quiet_ended) {
        let frame = rig.json().await;
        match (frame[1].as_str(), frame[4]["request_id"].as_str()) {
            (Some("s"), _) => stopped = true,
            (_, Some("quiet")) => quiet_ended |= frame[4]["has_more"] == false,
            _ => items += 1,
        }
    }
    assert!(items < 20, "{items} items came first");
}

impl Rig {
    /// Accepted, with other frames before its reply.
    async fn accepted_amid(&mut self, id: &str) -> super::rig::Asked {
        self.request(id, json!({}));
        while self.json().await[1] != id {}
        self.asked().await
    }
}
