//! Binary pushes: MessagePack in and out.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_protocol::Payload;
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use tokio_tungstenite::tungstenite::Message;

use super::rig::{Rig, message_pack, options, success};
use crate::edge::phoenix::frame::Vsn;
use crate::reply::Reply;

fn push(names: [&str; 4], payload: &[u8]) -> Message {
    let mut out = vec![0];
    out.extend(names.iter().map(|n| n.len() as u8));
    out.extend(names.iter().flat_map(|n| n.bytes()));
    out.extend_from_slice(payload);
    Message::binary(out)
}

/// Kind, names and payload, read as the npm package reads them.
fn read(frame: &Bytes) -> (u8, Vec<&str>, Value) {
    let count = match frame[0] {
        0 => 3,
        1 => 4,
        kind => panic!("kind {kind}"),
    };
    let mut rest = &frame[1 + count..];
    let mut names = Vec::new();
    for size in &frame[1..=count] {
        let (name, tail) = rest.split_at(usize::from(*size));
        names.push(std::str::from_utf8(name).unwrap());
        rest = tail;
    }
    let payload = Payload::message_pack(frame.slice_ref(rest));
    let json = payload.transcode(Encoding::Json).unwrap();
    (
        frame[0],
        names,
        serde_json::from_slice(&json.bytes).unwrap(),
    )
}

fn request(id: &str) -> Bytes {
    let args = json!({"n": [1, null]});
    message_pack(&json!({"request_id": id, "service": "s", "request_type": "f", "args": args}))
}

#[tokio::test(start_paused = true)]
async fn a_binary_call_is_answered_in_binary() {
    let mut rig = Rig::joined("api:x").await;
    rig.message(push(["1", "5", "api:x", "phoenix_gen_api"], &request("r")));
    let reply = rig.binary().await;
    assert_eq!(read(&reply), (1, vec!["1", "5", "api:x", "ok"], json!("f")));
    let asked = rig.asked().await;
    assert_eq!(asked.call.args.encoding, Encoding::MessagePack);
    let args = asked.call.args.clone();
    asked.give(Reply::Result(args));
    let response = rig.binary().await;
    let (kind, names, payload) = read(&response);
    assert_eq!((kind, names), (0, vec!["1", "api:x", "phoenix_gen_api"]));
    assert_eq!(
        payload,
        success("r", [false, false], json!({"n": [1, null]}))
    );
}

#[tokio::test(start_paused = true)]
async fn a_json_result_of_a_binary_call_is_carried_over() {
    let mut rig = Rig::joined("api:x").await;
    rig.message(push(["1", "", "api:x", "phoenix_gen_api"], &request("r")));
    let (items, _cancelled) = rig.asked().await.acknowledge(Reply::Stream);
    items.send(super::rig::item(r#"{"a":1.5}"#)).await.unwrap();
    items.send(Answer::StreamEnd).await.unwrap();
    let rows = [
        success("r", [true, true], Value::Null),
        success("r", [true, true], json!({"a": 1.5})),
        success("r", [true, false], Value::Null),
    ];
    for row in rows {
        let frame = rig.binary().await;
        assert_eq!(read(&frame).2, row);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused_in_binary() {
    let mut rig = Rig::joined("api:x").await;
    let nameless = message_pack(&json!({"service": "s", "request_type": "f"}));
    let unserved = message_pack(&json!({"request_id": "r", "service": "s"}));
    for (payload, id) in [
        (&b"\xc1"[..], "unknown"),
        (&nameless, "unknown"),
        (&unserved, "r"),
        (b"", "unknown"),
    ] {
        rig.message(push(["1", "5", "api:x", "phoenix_gen_api"], payload));
        let replied = rig.binary().await;
        let pushed = rig.binary().await;
        let (kind, names, response) = read(&replied);
        assert_eq!((kind, names), (1, vec!["1", "5", "api:x", "error"]));
        assert_eq!(response, read(&pushed).2);
        assert_eq!(response["request_id"], id);
        assert_eq!(response["error_code"], "invalid_request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_stopped_in_either_form() {
    let mut rig = Rig::joined("api:x").await;
    rig.message(push(["1", "", "api:x", "phoenix_gen_api"], &request("r")));
    let (_items, cancelled) = rig.asked().await.acknowledge(Reply::Stream);
    rig.binary().await;
    let stop = message_pack(&json!({"request_id": "r"}));
    rig.message(push(["1", "6", "api:x", "stop_stream"], &stop));
    assert_eq!(
        read(&rig.binary().await).2,
        success("r", [true, false], Value::Null)
    );
    assert_eq!(
        read(&rig.binary().await),
        (1, vec!["1", "6", "api:x", "ok"], json!({}))
    );
    cancelled.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn joins_and_leaves_may_come_as_binary_frames() {
    let mut rig = Rig::new();
    let user = message_pack(&json!({"user_id": "u"}));
    rig.message(push(["1", "1", "api:x", "phx_join"], &user));
    rig.expect(json!(["1", "1", "api:x", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    rig.request("r", json!({}));
    assert_eq!(
        rig.asked().await.call.identity.user_id.as_deref(),
        Some("u")
    );
    rig.expect(json!(["1", "r", "api:x", "phx_reply", {"status": "ok", "response": "f"}]))
        .await;
    rig.message(push(["", "2", "api:x", "phx_leave"], b""));
    rig.expect(json!(["1", "2", "api:x", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    rig.expect(json!(["1", "1", "api:x", "phx_close", {}]))
        .await;
}

#[tokio::test(start_paused = true)]
async fn version_1_has_no_binary_frames() {
    let mut rig = Rig::start(options(), Vsn::V1, false, 64);
    rig.message(push(["1", "1", "api:x", "phx_join"], b""));
    rig.closed_with(1003, "binary frames need vsn=2.0.0").await;
}
