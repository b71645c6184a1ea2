//! Clients that do not read, or send what they should not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use sluice_protocol::Payload;
use sluice_protocol::response::Answer;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::rig::{Rig, options};
use crate::edge::phoenix::frame::Vsn;
use crate::edge::phoenix::options::Phoenix as Options;
use crate::reply::Reply;

const KIB: usize = 1024;

fn small() -> Options {
    Options {
        outbox_frames: 1000,
        outbox_bytes: 64 * KIB,
        // Fewer than the messages that the tests send.
        max_in_flight: 256,
        ..options()
    }
}

fn big_item() -> Answer {
    Answer::Item {
        payload: Payload::json(format!("\"{}\"", "x".repeat(KIB))),
        last: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_client_and_goes_on() {
    let mut rig = Rig::start(small(), Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    let (items, cancelled) = rig.accepted("r").await.acknowledge(Reply::Stream);
    for _ in 0..1000 {
        items.send(big_item()).await.unwrap();
    }
    let taken = || items.capacity();
    // Far longer than a client that blocks replies may take: a stream alone never ends a socket
    // before it is idle.
    sleep(Duration::from_secs(50)).await;
    // Half of the outbox, and what the transport holds.
    assert!((16..=36).contains(&taken()), "{} items were taken", taken());
    assert!(!cancelled.is_cancelled());
    rig.response().await;
    for _ in 0..1000 {
        assert_eq!(rig.response().await["has_more"], true);
    }
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_not_read_and_then_closed() {
    let mut rig = Rig::start(small(), Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    for n in 0..1000 {
        rig.request(&n.to_string(), json!({}));
    }
    sleep(Duration::from_secs(9)).await;
    // As many calls as a socket may have; the refusals of further ones fill the outbox.
    let mut asked: Vec<_> = std::iter::from_fn(|| rig.try_asked()).collect();
    assert_eq!(asked.len(), 256);
    let read = rig.read.load(Ordering::Relaxed);
    assert!((257..400).contains(&read), "{read} messages were read");
    // Now it is closed, and its calls are cancelled.
    sleep(Duration::from_millis(1200)).await;
    for call in &mut asked {
        call.answer.closed().await;
    }
    // If it reads at last, it learns why.
    let mut bytes = 0;
    let close = loop {
        match rig.frame().await {
            Message::Close(close) => break close.unwrap(),
            message => bytes += message.len(),
        }
    };
    let told = (u16::from(close.code), close.reason.as_str());
    assert_eq!(told, (1008, "slow client"));
    assert!(bytes < KIB, "{bytes} bytes were written");
    rig.hang_up();
    rig.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_cut_off() {
    let mut rig = Rig::start(small(), Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    for n in 0..1000 {
        rig.request(&n.to_string(), json!({}));
    }
    let start = Instant::now();
    (&mut rig.task).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_slow_and_falls_silent_is_idle() {
    let idle = Duration::from_secs(5);
    let patient = Options {
        idle_timeout: idle,
        write_timeout: Duration::from_secs(3600),
        ..small()
    };
    let mut rig = Rig::start(patient, Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    for n in 0..1000 {
        rig.request(&n.to_string(), json!({}));
    }
    // It is not read, so it may be silent.
    sleep(idle * 4).await;
    let mut last = Instant::now();
    loop {
        match rig.frame().await {
            Message::Close(_) => break,
            _ => last = Instant::now(),
        }
    }
    assert!(last.elapsed() < idle * 2, "{:?}", last.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_gets_everything() {
    let mut rig = Rig::start(small(), Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    for n in 0..200 {
        rig.request(&n.to_string(), json!({}));
    }
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(rig.asked().await);
    }
    // Four of them fill the outbox; the others are not taken from their calls.
    let result = format!("\"{}\"", "x".repeat(16 * KIB));
    for call in waiting {
        call.result(&result);
    }
    sleep(Duration::from_secs(1)).await;
    rig.request("new", json!({}));
    sleep(Duration::from_secs(1)).await;
    assert!(
        rig.try_asked().is_none(),
        "a client that does not read was read"
    );
    let mut responses = 0;
    while responses < 200 {
        sleep(Duration::from_millis(20)).await;
        responses += usize::from(rig.json().await[4]["result"] == "x".repeat(16 * KIB));
    }
    rig.asked().await.result("1");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_joins_cost_a_hundred_channels() {
    let mut rig = Rig::new();
    for n in 0..10_000 {
        let topic = format!("api:{n}");
        rig.send(json!([n.to_string(), n.to_string(), topic, "phx_join", {}]));
    }
    for n in 0..10_000 {
        let reply = rig.json().await;
        assert_eq!(reply[1], n.to_string());
        assert_eq!(reply[4]["status"], if n < 100 { "ok" } else { "error" });
    }
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_rejoins_leave_one_channel() {
    let mut rig = Rig::joined("api:x").await;
    for n in 2..10_000 {
        rig.send(json!([
            n.to_string(),
            n.to_string(),
            "api:x",
            "phx_join",
            {}
        ]));
    }
    for n in 2..10_000 {
        assert_eq!(rig.json().await[0], n.to_string());
        let close = rig.json().await;
        assert_eq!(
            close,
            json!([
                (n - 1).to_string(),
                (n - 1).to_string(),
                "api:x",
                "phx_close",
                {}
            ])
        );
    }
    rig.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_closes_its_socket_with_a_code() {
    let long = "x".repeat(256);
    let rows = [
        ("", 1007),
        ("nope", 1007),
        ("{}", 1007),
        ("[]", 1007),
        ("null", 1007),
        (r#"["1","1","api:x","phx_join"]"#, 1007),
        (r#"["1","1","api:x","phx_join",{}"#, 1007),
        (r#"["1","1","api:x","phx_join",{}] x"#, 1007),
        (r#"["1","1","api:x",5,{}]"#, 1007),
        (r#"["1","1",null,"phx_join",{}]"#, 1007),
        (r#"["1",{},"api:x","phx_join",{}]"#, 1007),
        (r#"[true,"1","api:x","phx_join",{}]"#, 1007),
        (r#"["1","1","api:x","phx_join",{"a":}]"#, 1007),
        (r#"["\ud800","1","api:x","phx_join",{}]"#, 1007),
        (&format!(r#"["1","{long}","api:x","phx_join",{{}}]"#), 1009),
        (&format!(r#"["{long}","1","api:x","phx_join",{{}}]"#), 1009),
        (&format!(r#"["1",1{long},"api:x","phx_join",{{}}]"#), 1007),
        (&format!(r#"["1","1","api:{long}","phx_join",{{}}]"#), 1009),
        (&format!(r#"["1","1","api:x","{long}",{{}}]"#), 1009),
        (&"[".repeat(100_000), 1007),
    ];
    for (text, code) in rows {
        let mut rig = Rig::joined("api:y").await;
        let mut asked = {
            rig.send(json!(["1", null, "api:y", "phoenix_gen_api",
                {"request_id": "r", "service": "s", "request_type": "f"}]));
            rig.asked().await
        };
        rig.text(text);
        let close = rig.close_frame().await;
        assert_eq!(u16::from(close.code), code, "{text:.80}: {}", close.reason);
        assert!(
            !close.reason.is_empty() && close.reason.len() <= 123,
            "{}",
            close.reason
        );
        asked.answer.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn binary_that_is_no_frame_closes_its_socket_with_a_code() {
    let rows: [(&[u8], u16); 9] = [
        (b"", 1007),
        (&[0], 1007),
        (&[0, 1, 1, 1], 1007),
        (&[0, 1, 1, 1, 1], 1007),
        (&[0, 255, 0, 0, 0, b'x'], 1007),
        (&[0, 1, 0, 0, 0, 0xff], 1007),
        (&[1, 0, 0, 0, 0], 1003),
        (&[2, 0, 0], 1003),
        (&[255; 10], 1003),
    ];
    for (bytes, code) in rows {
        let mut rig = Rig::new();
        rig.message(Message::binary(bytes.to_vec()));
        assert_eq!(u16::from(rig.close_frame().await.code), code, "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_transport_have_their_codes() {
    let too_long = CapacityError::MessageTooLong {
        size: 9,
        max_size: 8,
    };
    for (error, code) in [
        (WsError::Capacity(too_long), 1009),
        (WsError::Utf8("x".to_owned()), 1007),
        (WsError::Protocol(ProtocolError::NonZeroReservedBits), 1002),
    ] {
        let mut rig = Rig::new();
        rig.error(error);
        assert_eq!(u16::from(rig.close_frame().await.code), code);
    }
    for error in [
        WsError::ConnectionClosed,
        WsError::Io(std::io::ErrorKind::ConnectionReset.into()),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake),
    ] {
        let rig = Rig::new();
        rig.error(error);
        rig.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn frames_before_a_bad_one_are_still_answered() {
    let mut rig = Rig::joined("api:x").await;
    rig.send(json!([null, "h", "phoenix", "heartbeat", {}]));
    rig.text("nope");
    assert_eq!(rig.json().await[1], "h");
    assert_eq!(u16::from(rig.close_frame().await.code), 1007);
}
