//! What a hostile client sends, and what it is told: one row each.

use serde_json::{Value, json};
use sluice_e2e::socket::{EVENT, TOPIC};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as Raw;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::MAX_FRAME;

pub(super) fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

pub(super) fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes.to_vec())
}

fn raw(bytes: impl Into<Vec<u8>>, data: Data) -> Message {
    Message::Frame(Raw::message(bytes.into(), OpCode::Data(data), true))
}

/// What closes a socket: name, bytes, close code, a part of the reason.
pub(super) fn closing() -> Vec<(&'static str, Message, u16, &'static str)> {
    let named = |name: &str| text(json!(["1", "2", TOPIC, name, {}]).to_string());
    let long = "x".repeat(256);
    vec![
        ("an empty text", text(""), 1007, "not a frame"),
        ("no JSON", text("{not json"), 1007, "not a frame"),
        (
            "half a frame",
            text(r#"["1","2","api:test""#),
            1007,
            "not a frame",
        ),
        ("deep", text("[".repeat(60_000)), 1007, "not a frame"),
        (
            "four elements",
            text(r#"["1","2","api:test","e"]"#),
            1007,
            "not a frame",
        ),
        ("no elements", text("[]"), 1007, "not a frame"),
        (
            "an object",
            text(r#"{"topic":"t","event":"e"}"#),
            1007,
            "not a frame",
        ),
        ("a number", text("7"), 1007, "not a frame"),
        (
            "a topic that is a number",
            text(r#"["1","2",3,"e",{}]"#),
            1007,
            "not a frame",
        ),
        (
            "an event that is null",
            text(r#"["1","2","t",null,{}]"#),
            1007,
            "not a frame",
        ),
        (
            "a ref that is a list",
            text(r#"["1",["2"],"t","e",{}]"#),
            1007,
            "not a frame",
        ),
        (
            "a join_ref that is a map",
            text(r#"[{},"2","t","e",{}]"#),
            1007,
            "not a frame",
        ),
        (
            "a huge ref",
            text(json!(["1", long, "t", "e", {}]).to_string()),
            1009,
            "256 bytes",
        ),
        (
            "a huge number as ref",
            text(format!(r#"["1",{},"t","e",{{}}]"#, "9".repeat(300))),
            1009,
            "300 bytes",
        ),
        (
            "a huge topic",
            text(json!(["1", "2", long, "e", {}]).to_string()),
            1009,
            "256 bytes",
        ),
        ("a huge event", named(&long), 1009, "256 bytes"),
        ("an empty binary frame", binary(b""), 1007, "kind"),
        (
            "a binary frame without lengths",
            binary(&[0, 1, 1]),
            1007,
            "lengths",
        ),
        (
            "a binary frame shorter than its topic",
            binary(&[0, 1, 1, 200, 1, b'1', b'2', b't']),
            1007,
            "topic",
        ),
        (
            "a binary frame without its names",
            binary(&[0, 255, 255, 255, 255]),
            1007,
            "join_ref",
        ),
        (
            "a binary ref that is not UTF-8",
            binary(&[0, 0, 1, 0, 0, 0xff]),
            1007,
            "UTF-8",
        ),
        ("a binary reply", binary(&[1, 0, 0, 0, 0]), 1003, "kind 1"),
        ("a binary broadcast", binary(&[2, 0, 0]), 1003, "kind 2"),
        (
            "text that is not UTF-8",
            raw([b'[', 0xff, 0xfe], Data::Text),
            1007,
            "",
        ),
        (
            "a frame above the limit",
            text("x".repeat(MAX_FRAME + 1)),
            1009,
            "",
        ),
        (
            "a binary frame above the limit",
            binary(&vec![0; 2 * MAX_FRAME]),
            1009,
            "",
        ),
        (
            "a continuation of nothing",
            raw(*b"x", Data::Continue),
            1002,
            "",
        ),
        ("a reserved opcode", raw(*b"x", Data::Reserved(5)), 1002, ""),
    ]
}

/// What is answered, and the socket goes on: name, frame, what the reply's payload has.
pub(super) fn answered() -> Vec<(&'static str, Value, Value)> {
    let call = |payload: Value| json!(["1", "x", TOPIC, EVENT, payload]);
    let refused = |code: &str| json!({"status": "error", "response": {"error_code": code}});
    let because = |reason: &str| json!({"status": "error", "response": {"reason": reason}});
    let strange = json!({"request_id": "r", "service": "demo", "request_type": 7});
    vec![
        (
            "a join of an unknown topic",
            json!(["9", "x", "nope", "phx_join", {}]),
            because("unmatched topic"),
        ),
        (
            "a push to an unknown topic",
            json!(["9", "x", "nope", EVENT, {}]),
            because("unmatched topic"),
        ),
        (
            "a push to no topic",
            json!([null, "x", "", EVENT, {}]),
            because("unmatched topic"),
        ),
        (
            "an unknown event",
            json!(["1", "x", TOPIC, "nope", {}]),
            because("unknown event"),
        ),
        (
            "an empty event",
            json!(["1", "x", TOPIC, "", {}]),
            because("unknown event"),
        ),
        (
            "an empty request",
            call(json!({})),
            refused("invalid_request"),
        ),
        (
            "a request that is a list",
            call(json!([1, 2])),
            refused("invalid_request"),
        ),
        (
            "a request that is null",
            call(Value::Null),
            refused("invalid_request"),
        ),
        (
            "a request with wrong types",
            call(strange),
            refused("invalid_request"),
        ),
        (
            "a huge request_id",
            call(json!({"request_id": "r".repeat(9000)})),
            refused("invalid_request"),
        ),
        (
            "a stop of nothing",
            json!(["1", "x", TOPIC, "stop_stream", {}]),
            because("not_found"),
        ),
        (
            "a stop with wrong types",
            json!(["1", "x", TOPIC, "stop_stream", [[]]]),
            because("not_found"),
        ),
        (
            "a leave of what is not joined",
            json!(["5", "x", "nope", "phx_leave", {}]),
            json!({"status": "ok"}),
        ),
    ]
}
