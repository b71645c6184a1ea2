//! Faults that were there once: each test failed before its mending.

use std::time::Duration;

use sluice_protocol::function::{ChooseNodeMode, ResponseType, Timeout};
use sluice_protocol::response::Answer;
use sluice_protocol::retry::{Retry, RetryMode};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};
use tokio::time::Instant;

use crate::dispatch::fake::{Rig, accepted, beat, call, call_id, error, item, result, spec};
use crate::dispatch::mailbox::{Bounds, Delivery, Mailbox};
use crate::reply::Reply;

fn retry(mode: RetryMode, attempts: u32) -> Option<Retry> {
    Some(Retry { mode, attempts })
}
fn retryable() -> CallError {
    let mut e = CallError::new(ErrorCode::WorkerError, "x").with_executed(Executed::Yes, true);
    e.can_retry = true;
    e
}

/// Was: same_node with a holder that the snapshot does not know: spins without ever yielding.
#[test]
fn same_node_stranger_wedges_the_shard() {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        rt.block_on(async {
            let mut spec = spec();
            spec.retry = retry(RetryMode::SameNode, 1);
            let mut rig = Rig::new(spec, &["a"]);
            let running = rig.start(call("{}"));
            let message = rig.sent().await;
            rig.reply(&message, error(retryable(), "joined-just-now"));
            let _ = tokio::time::timeout(Duration::from_secs(8), running).await;
        });
        tx.send(()).unwrap();
    });
    assert!(
        rx.recv_timeout(Duration::from_secs(12)).is_ok(),
        "the shard's thread hangs"
    );
}

/// Was: same_node and the node is gone / full: hot loop.
#[tokio::test(start_paused = true)]
async fn same_node_gone_is_a_hot_loop() {
    for gone in [true, false] {
        let mut spec = spec();
        spec.retry = retry(RetryMode::SameNode, 1);
        let mut rig = Rig::new(spec, &["a", "b"]);
        let _running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.reply(&message, error(retryable(), "a"));
        let mut sent = 0;
        let limit = Instant::now() + Duration::from_secs(1);
        while let Ok(message) = tokio::time::timeout_at(limit, rig.sent_call()).await {
            sent += 1;
            if gone {
                rig.deliver(&message, Delivery::NoResponders);
            } else {
                rig.reply(
                    &message,
                    error(CallError::new(ErrorCode::Overloaded, ""), "a"),
                );
            }
            if sent > 1000 {
                break;
            }
        }
        assert!(
            sent < 10,
            "gone {gone}: {sent} messages in {:?} left",
            limit - Instant::now()
        );
    }
}

/// Was: overloaded without an instance, or with a new name each time.
#[tokio::test(start_paused = true)]
async fn overloaded_without_instance_is_a_hot_loop() {
    for forged in [false, true] {
        let mut rig = Rig::new(spec(), &["a", "b"]);
        let _running = rig.start(call("{}"));
        let mut sent = 0;
        let limit = Instant::now() + Duration::from_secs(1);
        while let Ok(message) = tokio::time::timeout_at(limit, rig.sent_call()).await {
            sent += 1;
            let e = Box::new(CallError::new(ErrorCode::Overloaded, ""));
            let instance = forged.then(|| format!("x{sent}"));
            rig.reply(&message, Frame::Error { error: e, instance });
            if sent > 1000 {
                break;
            }
        }
        assert!(sent < 10, "forged {forged}: {sent}");
    }
}

/// Was: the cancel of a superseded attempt names the id of the live attempt.
#[tokio::test(start_paused = true)]
async fn superseded_cancel_hits_the_retry() {
    let mut spec = spec();
    spec.retry = retry(RetryMode::AllNodes, 1);
    spec.attempt_timeout_ms = Some(300);
    let mut rig = Rig::new(spec, &["a"]);
    let _running = rig.start(call("{}"));
    let first = rig.sent().await;
    let second = rig.sent_call().await;
    // The first attempt waited in a's socket; a says now that it is at it.
    rig.reply(&first, beat("a", 0));
    let control = loop {
        let m = rig.sent().await;
        if m.subject.ends_with(".control") {
            break m;
        }
    };
    let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
    assert_ne!(
        body["call"],
        call_id(&second),
        "kills the attempt that is wanted"
    );
}

/// Was: "it did not run" though the first attempt may have.
#[tokio::test(start_paused = true)]
async fn executed_no_after_an_attempt_that_may_have_run() {
    let mut spec = spec();
    spec.retry = retry(RetryMode::AllNodes, 1);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let first = rig.sent().await;
    rig.reply(&first, beat("a", 0));
    let ping = rig.sent().await;
    rig.deliver(&ping, Delivery::NoResponders);
    let second = rig.sent_call().await;
    rig.deliver(&second, Delivery::NoResponders);
    let e = running.await.unwrap().unwrap_err();
    assert_eq!(
        (e.executed, e.can_retry),
        (Executed::Unknown, false),
        "{e:?}"
    );
}

/// Was: a repeatable call to the only instance is not repeated after a reconnect.
#[tokio::test(start_paused = true)]
async fn idempotent_keyed_call_survives_a_reconnect() {
    let mut spec = spec();
    spec.idempotent = true;
    spec.choose_node_mode = ChooseNodeMode::Hash;
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    rig.sent().await;
    rig.set_connected(false);
    rig.set_connected(true);
    let again = tokio::time::timeout(Duration::from_secs(1), rig.sent_call()).await;
    let Ok(again) = again else {
        panic!("{:?}", running.await)
    };
    rig.reply(&again, result("1"));
    assert!(running.await.unwrap().is_ok());
}

/// Was: worker beats after the reconnect, still lost after 5 s.
#[tokio::test(start_paused = true)]
async fn a_holder_that_beats_after_a_blip_is_not_lost() {
    let mut spec = spec();
    spec.timeout = Timeout::Millis(60_000);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, beat("a", 0));
    rig.set_connected(false);
    rig.set_connected(true);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.reply(&message, beat("a", 0));
    }
    rig.reply(&message, result("1"));
    let r = running.await.unwrap();
    assert!(r.is_ok(), "{r:?}");
}

async fn stream(
    timeout: u64,
    max: Option<u64>,
) -> (
    Rig,
    crate::dispatch::broker::Outgoing<'static>,
    crate::reply::Answers,
) {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    spec.timeout = Timeout::Millis(timeout);
    spec.max_duration_ms = max;
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    match running.await.unwrap() {
        Ok(Reply::Stream(answers)) => (rig, message, answers),
        other => panic!("{other:?}"),
    }
}

/// Was: max_duration is not kept while the mailbox is never empty.
#[tokio::test(start_paused = true)]
async fn max_duration_holds_for_a_slow_client() {
    let (rig, message, mut answers) = stream(3000, Some(5000)).await;
    let began = Instant::now();
    let mut sent = 0;
    let mut got = 0;
    while sent < 6 {
        sent += 1;
        rig.reply(&message, item(sent));
    }
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match answers.next().await {
            Some(Answer::Item { .. }) => {
                got += 1;
                sent += 1;
                rig.reply(&message, item(sent));
            }
            other => {
                println!("{other:?}");
                break;
            }
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{got} items in {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn max_duration_holds_for_a_client_that_takes_nothing() {
    let (mut rig, message, _answers) = stream(3000, Some(5000)).await;
    for seq in 1..=8 {
        rig.reply(&message, item(seq));
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let mut cancelled = false;
    while let Some(m) = rig.sent_now() {
        cancelled |= std::str::from_utf8(&m.body).unwrap().contains("cancel");
    }
    assert!(cancelled, "after 600 s nobody told the worker to stop");
}

/// Was: byte window used up with few items: no grant before the frame timeout.
#[tokio::test(start_paused = true)]
async fn byte_credit_is_granted_when_half_is_used() {
    let (mut rig, message, mut answers) = stream(1500, None).await;
    let big = |seq| Frame::Item {
        seq,
        payload: Payload::json(format!("\"{}\"", "x".repeat(398))),
        last: false,
    };
    for seq in 1..=3 {
        rig.reply(&message, big(seq));
    }
    for _ in 0..3 {
        assert!(matches!(answers.next().await, Some(Answer::Item { .. })));
    }
    let asked = Instant::now();
    // An honest worker waits for credit here and beats.
    let worker = async {
        loop {
            let m = rig.sent().await;
            if m.subject.ends_with(".control") {
                return m;
            }
            rig.reply(&m, Frame::Result(Payload::json(r#"{"holds":true}"#)));
        }
    };
    let control = tokio::select! {
        m = worker => m,
        a = answers.next() => panic!("after {:?}: {a:?}", asked.elapsed()),
    };
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?} {:?}",
        asked.elapsed(),
        control.body
    );
}

/// Was: beats between items fill the mailbox of a slow client.
#[test]
fn beats_between_items_do_not_overflow() {
    // As `bounds()` would have it for stream_items = 64.
    let mailbox = Mailbox::new(Bounds {
        items: 64 + 16,
        bytes: 1 << 20,
    });
    let mut ok = true;
    for seq in 1..=64 {
        ok &= mailbox.push(item(seq).into());
        ok &= mailbox.push(beat("a", seq).into());
    }
    assert!(ok, "an honest worker is cut");
}

/// Was: bytes are counted after transcoding.
#[tokio::test(start_paused = true)]
async fn credit_counts_the_workers_bytes() {
    let (mut rig, message, mut answers) = stream(3000, None).await;
    // nil array in msgpack: 1 byte an element; JSON 5.
    let mut pack = vec![0xdc, 0, 100];
    pack.extend([0xc0; 100]);
    for seq in 1..=4 {
        rig.reply(
            &message,
            Frame::Item {
                seq,
                payload: Payload::message_pack(pack.clone()),
                last: false,
            },
        );
        answers.next().await;
    }
    let control = loop {
        let m = rig.sent().await;
        if m.subject.ends_with(".control") {
            break m;
        }
    };
    let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
    assert_eq!(body["bytes"].as_u64(), Some(1000 + 4 * 103));
}

/// Was: async calls get credit messages.
#[tokio::test(start_paused = true)]
async fn async_calls_send_no_credit() {
    let mut spec = spec();
    spec.response_type = ResponseType::Async;
    spec.timeout = Timeout::Millis(60_000);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    let _answers = running.await.unwrap().unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.reply(&message, beat("a", 0));
    }
    while let Some(m) = rig.sent_now() {
        assert!(!m.subject.ends_with(".control"), "{:?}", m.body);
    }
}

/// Was: a handler that passes on another service's `overloaded`, after side effects.
#[tokio::test(start_paused = true)]
async fn overloaded_that_was_executed_is_not_repeated() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    let e = CallError::new(ErrorCode::Overloaded, "downstream is full")
        .with_executed(Executed::Yes, false);
    rig.reply(&message, error(e, "a"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(rig.sent_now().is_none(), "sent again, outside of `retry`");
    drop(running);
}

/// Was: beats alone keep a stream from timing out between frames.
#[tokio::test(start_paused = true)]
async fn beats_are_no_items() {
    let (rig, message, mut answers) = stream(3000, None).await;
    rig.reply(&message, item(1));
    answers.next().await;
    let next = tokio::spawn(async move { answers.next().await });
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        rig.reply(&message, beat("a", 1));
    }
    assert!(next.is_finished(), "27 s without an item, timeout 3 s");
}

/// Was: deadline 0 is sent after a back-off that ends at the deadline.
#[tokio::test(start_paused = true)]
async fn no_attempt_is_sent_at_the_deadline() {
    let mut spec = spec();
    spec.timeout = Timeout::Millis(120);
    spec.retry = retry(RetryMode::AllNodes, 3);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let mut n = 0;
    while let Ok(m) = tokio::time::timeout(Duration::from_millis(300), rig.sent_call()).await {
        n += 1;
        let d = crate::dispatch::fake::header(&m, sluice_protocol::headers::DEADLINE);
        assert_ne!(d, "0", "attempt {n} is sent with no time left");
        rig.reply(&m, error(retryable(), "a"));
    }
    let _ = running.await;
}

#[tokio::test(start_paused = true)]
async fn a_fast_plain_responder_of_an_async_function_is_heard() {
    for kind in [ResponseType::Async, ResponseType::None] {
        let mut spec = spec();
        spec.response_type = kind;
        let mut rig = Rig::new(spec, &[]);
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.reply(&message, result("1"));
        let reply = running.await.unwrap();
        match reply {
            Ok(Reply::Async(mut answers)) => assert_eq!(
                answers.next().await,
                Some(Answer::Result(Payload::json("1")))
            ),
            Ok(Reply::Accepted) => {}
            other => panic!("{kind:?} {other:?}"),
        }
    }
}

// The worker had finished, its reply was lost in the break: the cancel is kept as an early one.
#[tokio::test(start_paused = true)]
async fn resent_after_reconnect_is_killed_by_the_cancel_of_the_first() {
    let mut spec = spec();
    spec.retry = retry(RetryMode::AllNodes, 1);
    spec.choose_node_mode = ChooseNodeMode::Hash;
    let mut rig = Rig::new(spec, &["a"]);
    let _running = rig.start(call("{}"));
    rig.sent().await;
    rig.set_connected(false);
    rig.set_connected(true);
    let cancel = rig.sent().await;
    assert!(cancel.subject.ends_with("a.control"));
    let body: serde_json::Value = serde_json::from_slice(&cancel.body).unwrap();
    let second = rig.sent_call().await;
    assert!(second.subject.contains(".a."));
    assert_ne!(body["call"], call_id(&second), "same instance, same id");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_a_message_is_handed_over() {
    let rig = Rig::new(spec(), &["a"]);
    rig.set_stuck();
    let running = rig.start(call("{}"));
    let ended = tokio::time::timeout(Duration::from_secs(600), running).await;
    assert!(ended.is_ok(), "5 s timeout, 600 s gone");
}

// A NotHeld that was asked before the beat counts after it; two isolated probes.
#[tokio::test(start_paused = true)]
async fn a_lost_holder_that_is_silent_is_told_to_stop() {
    let mut spec = spec();
    spec.idempotent = true;
    let mut rig = Rig::new(spec, &["a", "b"]);
    let _running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, beat("a", 0));
    let mut cancelled = false;
    loop {
        let m = rig.sent().await;
        cancelled |= m.subject.ends_with("a.control");
        if m.subject.contains(".b.=") {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    while let Some(m) = rig.sent_now() {
        cancelled |= m.subject.ends_with("a.control");
    }
    assert!(cancelled, "a may still be at it");
}

// A worker whose forged frames speak for another instance takes that one out.
#[tokio::test(start_paused = true)]
async fn a_forged_name_and_503_does_not_suspend_another() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    for _ in 0..2 {
        let running = rig.start(call("{}"));
        let message = rig.sent_call().await;
        rig.reply(&message, beat("b", 0));
        rig.deliver(&message, Delivery::NoResponders);
        let _ = tokio::time::timeout(Duration::from_millis(10), running).await;
    }
    let n = rig.instances[1]
        .no_responders
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(n, 0);
}
