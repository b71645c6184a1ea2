//! Streams as events and as lines.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode};
use tokio::time::{Instant, advance};

use super::*;
use crate::edge::fake::{Open, item, within};

async fn open(rig: &mut Rig, accept: &str) -> (Response<Body>, Open) {
    let headers = format!("accept: {accept}\nx-request-id: r");
    let response = rig
        .edge
        .handle(request("POST /api/s/items", &headers, ""))
        .await;
    (response, rig.opened().await)
}

async fn next(body: &mut Body) -> Option<String> {
    let frame = within("a frame", body.frame()).await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

fn line(kind: &str, result: &str) -> String {
    let (is_async, has_more) = match kind {
        "end" | "last" => (true, false),
        _ => (true, true),
    };
    format!(
        r#"{{"request_id":"r","success":true,"result":{result},"error":"","async":{is_async},"has_more":{has_more},"can_retry":false}}"#
    )
}

#[tokio::test]
async fn events_have_names_and_numbers() {
    let mut rig = Rig::new();
    let (response, far) = open(&mut rig, "text/event-stream").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-request-id"], "r");
    let mut body = response.into_body();
    let ack = format!("id: 0\nevent: ack\ndata: {}\n\n", line("ack", "null"));
    assert_eq!(next(&mut body).await.unwrap(), ack);
    far.answers.send(item("1")).await.unwrap();
    let first = format!("id: 1\nevent: item\ndata: {}\n\n", line("item", "1"));
    assert_eq!(next(&mut body).await.unwrap(), first);
    // What is ready together is written together.
    far.answers.send(item("[2,\r\n2]")).await.unwrap();
    far.answers.send(Answer::StreamEnd).await.unwrap();
    let rest = format!(
        "id: 2\nevent: item\ndata: {}\n\nid: 3\nevent: end\ndata: {}\n\n",
        line("item", "[2,  2]"),
        line("end", "null")
    );
    assert_eq!(next(&mut body).await.unwrap(), rest);
    assert_eq!(next(&mut body).await, None);
    assert_eq!(rig.capacity.in_flight(), 0);
    assert!(!far.cancelled.is_cancelled(), "it has ended by itself");
}

#[tokio::test]
async fn lines_are_the_default() {
    let mut rig = Rig::new();
    for accept in ["*/*", "application/json", "application/x-ndjson"] {
        let (response, far) = open(&mut rig, accept).await;
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        far.answers.send(item("{\n}")).await.unwrap();
        let last = Answer::Item {
            payload: Payload::json("2"),
            last: true,
        };
        far.answers.send(last).await.unwrap();
        let got = whole(response).await;
        let lines = [line("ack", "null"), line("item", "{ }"), line("last", "2")];
        assert_eq!(got.body, lines.join("\n") + "\n", "{accept}");
    }
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let mut rig = Rig::new();
    let (response, far) = open(&mut rig, "text/event-stream").await;
    let error = CallError::new(ErrorCode::StreamLost, "a gap");
    far.answers.send(error.into()).await.unwrap();
    let got = whole(response).await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    assert!(text.contains("id: 1\nevent: error\ndata: {") && text.contains("stream_lost"));
}

#[tokio::test]
async fn an_item_that_json_cannot_say_ends_the_stream() {
    let mut rig = Rig::new();
    let (response, far) = open(&mut rig, "*/*").await;
    let binary = Payload::message_pack(vec![0xc4, 1, 7]);
    far.answers.send(item("1")).await.unwrap();
    let unsayable = Answer::Item {
        payload: binary,
        last: false,
    };
    far.answers.send(unsayable).await.unwrap();
    let got = whole(response).await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["error_code"], "not_acceptable");
    within("the call is cancelled", far.cancelled.cancelled()).await;
}

#[tokio::test]
async fn a_refusal_is_a_plain_status() {
    let rig = Rig::new();
    let got = rig
        .send("POST /api/s/fail", "accept: text/event-stream", "")
        .await;
    assert_eq!((got.status(), got.code().as_str()), (429, "rate_limited"));
}

#[tokio::test]
async fn whoever_drops_the_body_cancels_the_call() {
    let mut rig = Rig::new();
    let (response, far) = open(&mut rig, "*/*").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap();
    assert_eq!(rig.capacity.in_flight(), 1);
    drop(body);
    within("the call is cancelled", far.cancelled.cancelled()).await;
    assert_eq!(rig.capacity.in_flight(), 0);
}

#[tokio::test]
async fn whoever_drops_a_pending_request_cancels_the_call() {
    let mut rig = Rig::new();
    let mut call = Box::pin(rig.edge.handle(request("POST /api/s/hold", "", "")));
    assert!((&mut call).now_or_never().is_none());
    let far = crate::edge::fake::next_open(&mut rig.open).await;
    drop(call);
    within("the call is cancelled", far.cancelled.cancelled()).await;
    assert_eq!(rig.capacity.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn quiet_event_streams_get_comments() {
    let mut rig = Rig::with(|c| c.http.sse_keep_alive = Duration::from_secs(15));
    let (response, far) = open(&mut rig, "text/event-stream").await;
    let start = Instant::now();
    let mut body = response.into_body();
    next(&mut body).await.unwrap();
    for n in 1..=3 {
        assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
        assert_eq!(start.elapsed().as_secs(), 15 * n);
    }
    // An item in between: the silence counts anew.
    advance(Duration::from_secs(10)).await;
    far.answers.send(item("1")).await.unwrap();
    assert!(next(&mut body).await.unwrap().contains("event: item"));
    assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
    assert_eq!(start.elapsed().as_secs(), 45 + 10 + 15);
}

#[tokio::test(start_paused = true)]
async fn lines_get_no_comments() {
    let mut rig = Rig::new();
    let (response, _far) = open(&mut rig, "*/*").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap();
    let mut frame = pin!(body.frame());
    assert!((&mut frame).now_or_never().is_none());
    advance(Duration::from_secs(3600)).await;
    assert!(frame.now_or_never().is_none());
}

#[tokio::test]
async fn nothing_is_asked_for_before_the_client_reads() {
    let mut rig = Rig::new();
    let (response, far) = open(&mut rig, "*/*").await;
    let mut body = response.into_body();
    let large = format!("\"{}\"", "x".repeat(20_000));
    let mut sent = 0;
    while far.answers.try_send(item(&large)).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, crate::edge::fake::CHANNEL);
    // One frame takes about one batch, not all there is.
    next(&mut body).await.unwrap();
    assert!(far.answers.try_send(item("1")).is_ok());
    assert!(far.answers.try_send(item("1")).is_err());
}
