//! Clients that send what they should not: each gets a clear reply or close code, and a socket
//! beside them goes on as if nothing were.

mod frames;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::socket::{Frame, Socket};

use crate::machine::{assert_sound, broker};
use crate::measure::echo;
use frames::{answered, binary, closing, text};

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
