//! Clients that send what they should not: each gets a clear reply or close code, and a socket
//! beside them goes on as if nothing were.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::socket::{EVENT, Frame, Socket, TOPIC};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as Raw;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::machine::{assert_sound, broker};
use crate::measure::echo;

const MAX_FRAME: usize = 64 << 10;

fn gateway() -> ClusterBuilder {
    Cluster::start(broker()).gateway(|_, gateway| {
        let gateway = gateway.option("phoenix", "max_frame_bytes", MAX_FRAME);
        gateway.option("phoenix", "write_timeout_ms", 1_000)
    })
}

/// Runs `hostile` while another socket calls without a pause: every call of it is answered, the
/// first after the hostility began and the last after it ended.
async fn beside(cluster: &Cluster, hostile: impl Future<Output = ()>) {
    let address = cluster.gateway(0).address();
    let over = Arc::new(AtomicBool::new(false));
    let mut good = Socket::joined(address).await.unwrap();
    let neighbour = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            while !over.load(Ordering::Relaxed) {
                echo(&mut good, "beside").await.unwrap();
            }
            echo(&mut good, "after").await.unwrap();
            good.close().await.unwrap();
        }
    });
    hostile.await;
    over.store(true, Ordering::Relaxed);
    neighbour.await.unwrap();
    assert_sound(cluster.gateway(0).process());
    assert_sound(cluster.worker(0).process());
}

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes.to_vec())
}

fn raw(bytes: impl Into<Vec<u8>>, data: Data) -> Message {
    Message::Frame(Raw::message(bytes.into(), OpCode::Data(data), true))
}

/// What closes a socket: name, bytes, close code, a part of the reason.
fn closing() -> Vec<(&'static str, Message, u16, &'static str)> {
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

#[tokio::test]
async fn what_is_no_frame_closes_its_socket_with_a_code() {
    let cluster = gateway().await.unwrap();
    let address = cluster.gateway(0).address();
    beside(&cluster, async {
        for (name, message, code, reason) in closing() {
            let mut socket = Socket::joined(address).await.unwrap();
            // The gateway may close before all of it is written.
            let _ = socket.send(message).await;
            let (closed, frames) = socket.closed().await.unwrap();
            assert_eq!(closed.code, code, "{name}: {closed:?}");
            assert!(closed.reason.contains(reason), "{name}: {closed:?}");
            assert_eq!(frames, [], "{name}");
        }
        let mut old = Socket::connect_v1(address).await.unwrap();
        old.send(binary(&[0, 0, 0, 0, 0])).await.unwrap();
        assert_eq!(
            old.closed().await.unwrap().0.code,
            1003,
            "binary, version 1"
        );
    })
    .await;
}

/// What is answered, and the socket goes on: name, frame, what the reply's payload has.
fn answered() -> Vec<(&'static str, Value, Value)> {
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

#[tokio::test]
async fn a_frame_that_makes_no_sense_is_answered() {
    let cluster = gateway().await.unwrap();
    let address = cluster.gateway(0).address();
    beside(&cluster, async {
        let mut socket = Socket::joined(address).await.unwrap();
        for (name, frame, wanted) in answered() {
            socket.send(text(frame.to_string())).await.unwrap();
            let reply = loop {
                let reply = socket.frame().await.unwrap();
                if reply.reference == "x" {
                    break reply;
                }
            };
            assert!(has(&reply.payload, &wanted), "{name}: {reply:?}");
            echo(&mut socket, name).await.unwrap();
        }
        a_service_that_is_a_pattern(&mut socket).await;
    })
    .await;
}

/// It is well-formed, so it is taken; that nobody serves it only the pipeline can say.
async fn a_service_that_is_a_pattern(socket: &mut Socket) {
    let request = json!({"request_id": "r", "service": "a.*.>", "request_type": "x"});
    let taken = socket.push(&request).await.unwrap();
    assert_eq!(socket.reply(taken).await.unwrap().payload["status"], "ok");
    let answer = socket.frame().await.unwrap().payload;
    assert_eq!(answer["request_id"], "r");
    assert_eq!(answer["error_code"], "unknown_function", "{answer}");
}

/// If `value` has all that `wanted` has; what is no map is equal.
fn has(value: &Value, wanted: &Value) -> bool {
    match wanted.as_object() {
        Some(wanted) => wanted.iter().all(|(key, wanted)| has(&value[key], wanted)),
        None => value == wanted,
    }
}

#[tokio::test]
async fn ten_thousand_joins_are_answered_each() {
    const JOINS: usize = 10_000;
    let cluster = gateway().await.unwrap();
    let address = cluster.gateway(0).address();
    beside(&cluster, async {
        let mut socket = Socket::connect(address).await.unwrap();
        let mut oks = 0;
        // Not all of it at once: this client is rude, and yet it reads.
        for first in (0..JOINS).step_by(100) {
            for number in first..first + 100 {
                let topic = format!("api:{number}");
                let frame = json!([number.to_string(), "j", topic, "phx_join", {}]);
                socket.send(text(frame.to_string())).await.unwrap();
            }
            for number in first..first + 100 {
                let reply = socket.frame().await.unwrap();
                assert_eq!(reply.topic, format!("api:{number}"), "{reply:?}");
                oks += usize::from(reply.payload["status"] == "ok");
                let clear = reply.payload["response"]["reason"].is_string();
                assert!(reply.payload["status"] == "ok" || clear, "{reply:?}");
            }
        }
        assert_eq!(oks, 100, "max_channels of them");
        rejoins(&mut socket).await;
    })
    .await;
}

/// As many joins of one topic: each ends the former.
async fn rejoins(socket: &mut Socket) {
    let former = |frame: &Frame| frame.event == "phx_close";
    let mut closed = 0;
    for _ in 0..1_000 {
        let reference = socket
            .push_event("api:0", "phx_join", &json!({}))
            .await
            .unwrap();
        loop {
            let frame = socket.frame().await.unwrap();
            closed += usize::from(former(&frame));
            if frame.is_reply_to(reference) {
                assert_eq!(frame.payload["status"], "ok", "{frame:?}");
                break;
            }
        }
    }
    assert!(closed >= 999, "{closed} were closed");
}

#[tokio::test]
async fn who_never_reads_is_closed_and_nobody_else_notices() {
    let cluster = gateway().await.unwrap();
    let address = cluster.gateway(0).address();
    beside(&cluster, async {
        let mut deaf = Socket::connect_narrow(address, 4096).await.unwrap();
        deaf.join().await.unwrap();
        deaf.push(&request("stream", "count", json!({"to": 10_000_000})))
            .await
            .unwrap();
        // Writing ends early if it is cut before it has written them all.
        for number in 0..1_000 {
            let call = request(&number.to_string(), "big", json!({"bytes": 20_000}));
            if deaf.push(&call).await.is_err() {
                break;
            }
        }
        // The gateway has given it up once there is nobody to write to.
        while deaf
            .push_event("phoenix", "heartbeat", &json!({}))
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What was under way when it was cut is still there, in order; then the end.
        let (closed, frames) = deaf.closed().await.unwrap();
        assert!(matches!(closed.code, 1006 | 1008), "{closed:?}");
        let items = frames
            .iter()
            .filter(|frame| frame.payload["request_id"] == "stream");
        let items = items.filter_map(|frame| frame.payload["result"]["n"].as_u64());
        let count = items.clone().count() as u64;
        assert!(items.eq(1..=count), "a gap");
    })
    .await;
}

fn request(id: &str, function: &str, args: Value) -> Value {
    json!({"request_id": id, "service": "demo", "request_type": function, "args": args})
}
