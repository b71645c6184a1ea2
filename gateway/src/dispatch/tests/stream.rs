//! Streams: order, credit, ends.

use std::time::Duration;

use sluice_protocol::batch::BatchBuilder;
use sluice_protocol::function::{ResponseType, Timeout};
use sluice_protocol::headers as h;
use sluice_protocol::response::Answer;
use sluice_protocol::{Encoding, ErrorCode, Frame, Payload};

use crate::dispatch::broker::Outgoing;
use crate::dispatch::fake::{Rig, accepted, beat, call, header, item, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::reply::{Answers, Reply};

async fn open() -> (Rig, Outgoing<'static>, Answers) {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    spec.timeout = Timeout::Millis(3000);
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    assert_eq!(header(&message, h::CREDIT), "8,1000");
    assert_eq!(header(&message, h::BATCH), "1");
    rig.reply(&message, accepted("a"));
    match running.await.unwrap() {
        Ok(Reply::Stream(answers)) => (rig, message, answers),
        other => panic!("{other:?}"),
    }
}

fn number(answer: Option<Answer>) -> u64 {
    match answer {
        Some(Answer::Item { payload, .. }) => serde_json::from_slice(&payload.bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn code(answer: Option<Answer>) -> (ErrorCode, String) {
    match answer {
        Some(Answer::Error(error)) => (error.code, error.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn items_come_in_order_and_then_one_end() {
    let (rig, message, mut answers) = open().await;
    for seq in 1..=3 {
        rig.reply(&message, item(seq));
    }
    rig.reply(&message, beat("a", 3));
    rig.reply(&message, Frame::End { count: 3 });
    rig.reply(&message, item(4));
    for seq in 1..=3 {
        assert_eq!(number(answers.next().await), seq);
    }
    assert_eq!(answers.next().await, Some(Answer::StreamEnd));
    assert_eq!(answers.next().await, None);
}

fn batch(first: u64, items: &[&str], last: bool) -> Frame {
    let mut builder = BatchBuilder::default();
    for item in items {
        assert!(builder.push(item.as_bytes()));
    }
    let items = builder.take(Encoding::Json).unwrap();
    Frame::Items { first, items, last }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_as_many_items_and_its_last_one_may_end_the_stream() {
    let (rig, message, mut answers) = open().await;
    rig.reply(&message, item(1));
    rig.reply(&message, batch(2, &["2", "3"], false));
    rig.reply(&message, batch(4, &["4", "5"], true));
    for seq in 1..=4 {
        assert_eq!(number(answers.next().await), seq);
    }
    assert_eq!(
        answers.next().await,
        Some(Answer::Item {
            payload: Payload::json("5"),
            last: true
        })
    );
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_is_looked_at() {
    let many = vec!["2"; 100];
    let broken = [
        (batch(3, &["3", "4"], false), ErrorCode::StreamLost),
        (batch(2, &["}"], false), ErrorCode::WorkerError),
        (batch(2, &[""], true), ErrorCode::WorkerError),
    ];
    for (frame, expected) in broken {
        let (rig, message, mut answers) = open().await;
        rig.reply(&message, item(1));
        rig.reply(&message, frame);
        assert_eq!(number(answers.next().await), 1);
        assert_eq!(code(answers.next().await).0, expected);
        assert_eq!(answers.next().await, None);
    }
    let (rig, message, mut answers) = open().await;
    rig.reply(&message, batch(1, &many, true));
    let mut items = 0;
    let (code, text) = loop {
        match answers.next().await {
            Some(Answer::Item { .. }) => items += 1,
            other => break code(other),
        }
    };
    assert!(items < 30, "{items}");
    assert_eq!(code, ErrorCode::WorkerError);
    assert!(
        text.contains("more replies than there was credit for"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_last_item_ends_the_stream() {
    let (rig, message, mut answers) = open().await;
    rig.reply(
        &message,
        Frame::Item {
            seq: 1,
            payload: Payload::json("1"),
            last: true,
        },
    );
    assert_eq!(
        answers.next().await,
        Some(Answer::Item {
            payload: Payload::json("1"),
            last: true
        })
    );
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn gaps_are_never_silent() {
    let broken: Vec<(Frame, &str)> = vec![
        (item(3), "item 2 is missing"),
        (item(1), "item 2 is missing"),
        (beat("a", 5), "4 items are missing"),
        (
            Frame::End { count: 2 },
            "ended after 2 items, of which 1 arrived",
        ),
        (Frame::End { count: 0 }, "ended after 0 items"),
    ];
    for (frame, text) in broken {
        let (mut rig, message, mut answers) = open().await;
        rig.reply(&message, item(1));
        rig.reply(&message, frame);
        assert_eq!(number(answers.next().await), 1);
        let (code, message) = code(answers.next().await);
        assert_eq!(code, ErrorCode::StreamLost);
        assert!(message.contains(text), "{message}");
        assert_eq!(answers.next().await, None);
        assert_eq!(rig.sent().await.subject, "sluice.inst.s.a.control");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_in_place_of_items_is_the_workers_fault() {
    let (rig, message, mut answers) = open().await;
    rig.reply(&message, result("1"));
    assert_eq!(code(answers.next().await).0, ErrorCode::WorkerError);
}

#[tokio::test(start_paused = true)]
async fn silence_between_items_is_a_timeout_though_the_worker_lives() {
    let (rig, message, mut answers) = open().await;
    rig.reply(&message, item(1));
    assert_eq!(number(answers.next().await), 1);
    let (code, _) = code(answers.next().await);
    // Nobody answers the probes here, so the holder may count as gone first.
    assert!(
        matches!(code, ErrorCode::Timeout | ErrorCode::StreamLost),
        "{code:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_holds_the_worker_back_and_is_not_timed_out_for_it() {
    let (mut rig, message, mut answers) = open().await;
    for seq in 1..=8 {
        rig.reply(&message, item(seq));
    }
    // The client takes nothing for longer than the time between frames; grants go on.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut granted = 0;
    while let Some(control) = rig.sent_now() {
        let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
        assert_eq!(body["type"], "credit");
        granted = body["items"].as_u64().unwrap();
    }
    assert!(
        (8..=8 + 5).contains(&granted),
        "{granted} is more than the client took"
    );
    for seq in 1..=8 {
        assert_eq!(number(answers.next().await), seq);
    }
    // The client's progress is granted.
    loop {
        let control = rig.sent().await;
        let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
        if body["items"].as_u64() == Some(16) {
            break;
        }
    }
    rig.reply(&message, Frame::End { count: 8 });
    assert_eq!(answers.next().await, Some(Answer::StreamEnd));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_flows_on_without_a_pause() {
    let (mut rig, message, mut answers) = open().await;
    let start = tokio::time::Instant::now();
    let (mut sent, mut granted) = (0, 8);
    for taken in 1..=200 {
        // As far as the credit goes, like a worker that is faster than its client.
        while sent < granted {
            sent += 1;
            rig.reply(&message, item(sent));
        }
        assert_eq!(number(answers.next().await), taken);
        if taken == sent {
            let control = rig.sent().await;
            let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
            granted = body["items"].as_u64().unwrap();
        }
        while let Some(control) = rig.sent_now() {
            let body: serde_json::Value = serde_json::from_slice(&control.body).unwrap();
            granted = body["items"].as_u64().unwrap();
        }
        assert!(
            granted <= taken + 8,
            "{granted} is more than the client took"
        );
    }
    // The repeated grants of every two seconds had no part in it.
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_a_few_items_does_not_time_out_a_slow_client() {
    let (mut rig, message, mut answers) = open().await;
    // Two items use up the window's bytes, though they are few.
    let big = |seq| Frame::Item {
        seq,
        payload: Payload::json(format!("\"{}\"", "x".repeat(498))),
        last: false,
    };
    rig.reply(&message, big(1));
    rig.reply(&message, big(2));
    tokio::time::sleep(Duration::from_secs(20)).await;
    while rig.sent_now().is_some() {}
    for _ in 0..2 {
        assert!(matches!(answers.next().await, Some(Answer::Item { .. })));
    }
    rig.reply(&message, Frame::End { count: 2 });
    assert_eq!(answers.next().await, Some(Answer::StreamEnd));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_and_then_reads_the_end() {
    let (rig, message, mut answers) = open().await;
    for seq in 1..=5 {
        rig.reply(&message, item(seq));
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    // What comes meanwhile buys it no time.
    rig.reply(&message, item(6));
    tokio::time::sleep(Duration::from_secs(25)).await;
    for seq in 1..=6 {
        assert_eq!(number(answers.next().await), seq);
    }
    let (code, text) = code(answers.next().await);
    assert_eq!(code, ErrorCode::StreamLost);
    assert!(text.contains("the client took nothing"), "{text}");
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ignores_credit_is_cut() {
    let (mut rig, message, mut answers) = open().await;
    for seq in 1..=1000 {
        rig.reply(&message, item(seq));
    }
    let mut last = answers.next().await;
    while let Some(Answer::Item { .. }) = last {
        last = answers.next().await;
    }
    let (code, text) = code(last);
    assert_eq!(code, ErrorCode::WorkerError);
    assert!(text.contains("credit"), "{text}");
    while rig.sent().await.subject != "sluice.inst.s.a.control" {}
}

#[tokio::test(start_paused = true)]
async fn dropping_the_answers_cancels() {
    let (mut rig, message, answers) = open().await;
    rig.reply(&message, item(1));
    drop(answers);
    let control = rig.sent().await;
    assert!(
        std::str::from_utf8(&control.body)
            .unwrap()
            .contains("\"cancel\"")
    );
    assert!(rig.inbox.is_empty() || rig.inbox.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_breaks_a_stream_aloud() {
    let (rig, message, mut answers) = open().await;
    rig.reply(&message, item(1));
    assert_eq!(number(answers.next().await), 1);
    rig.set_connected(false);
    rig.set_connected(true);
    assert_eq!(code(answers.next().await).0, ErrorCode::StreamLost);
}

#[tokio::test(start_paused = true)]
async fn refusals_before_the_stream_opens_are_plain_errors() {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    let mut rig = Rig::new(spec, &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.deliver(&message, Delivery::NoResponders);
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::NoWorkers
    );
}
