//! The life of an async call.

use std::time::Duration;

use sluice_protocol::{CallError, ErrorCode, Executed};
use tokio::time::advance;

use super::*;
use crate::edge::fake::{Open, result, within};

async fn start(rig: &mut Rig, headers: &str) -> (String, Open) {
    let headers = format!("x-request-id: mine\n{headers}");
    let got = rig.send("POST /api/s/report", headers.trim_end(), "").await;
    assert_eq!(got.status(), 202);
    assert_eq!(
        (&got.envelope()["async"], &got.envelope()["success"]),
        (&true.into(), &true.into())
    );
    let location = got.header("location").to_owned();
    assert_eq!(location.strip_prefix("/api/calls/").unwrap().len(), 32);
    (location, rig.opened().await)
}

/// Until the record has its answer.
async fn settle(rig: &Rig, location: &str) -> Got {
    let id = location.strip_prefix("/api/calls/").unwrap();
    let store = &rig.edge.parts().results;
    within("the answer", store.finished(id)).await.unwrap();
    rig.get(location).await
}

#[tokio::test]
async fn pending_then_done() {
    let mut rig = Rig::new();
    let (location, far) = start(&mut rig, "").await;
    assert_eq!(rig.capacity.in_flight(), 1, "it is in flight until it ends");
    let got = rig
        .send(&format!("GET {location}"), "x-request-id: poll", "")
        .await;
    assert_eq!((got.status(), got.header("retry-after")), (202, "1"));
    assert_eq!(got.header("x-request-id"), "poll");
    assert_eq!(got.envelope()["request_id"], "mine");
    far.answers.send(result("{\"done\":true}")).await.unwrap();
    let got = settle(&rig, &location).await;
    assert_eq!((got.status(), got.header("retry-after")), (200, ""));
    assert_eq!(
        got.body,
        r#"{"request_id":"mine","success":true,"result":{"done":true},"error":"","async":false,"has_more":false,"can_retry":false}"#
    );
    assert_eq!(rig.capacity.in_flight(), 0);
    let packed = rig
        .send(
            &format!("GET {location}"),
            "accept: application/msgpack",
            "",
        )
        .await;
    assert_eq!(packed.envelope(), got.envelope());
    let head = rig.send(&format!("HEAD {location}"), "", "").await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_failure_keeps_its_status() {
    let mut rig = Rig::new();
    let (location, far) = start(&mut rig, "").await;
    let error = CallError::new(ErrorCode::WorkerLost, "gone");
    let error = error.with_executed(Executed::Unknown, false);
    far.answers.send(error.into()).await.unwrap();
    let got = settle(&rig, &location).await;
    assert_eq!((got.status(), got.code().as_str()), (502, "worker_lost"));
}

#[tokio::test]
async fn a_call_without_its_worker_ends_all_the_same() {
    let mut rig = Rig::new();
    let (location, far) = start(&mut rig, "").await;
    drop(far);
    let got = settle(&rig, &location).await;
    assert_eq!((got.status(), got.code().as_str()), (500, "internal"));
}

#[tokio::test]
async fn only_the_caller_sees_a_call() {
    let mut rig = Rig::new();
    let (owned, _far) = start(&mut rig, "x-user-id: u").await;
    let (anonymous, _far2) = start(&mut rig, "").await;
    for (location, user, status) in [
        (&owned, "x-user-id: u", 202),
        (&owned, "x-user-id: v", 404),
        (&owned, "", 404),
        (&anonymous, "", 202),
        (&anonymous, "x-user-id: u", 404),
    ] {
        let got = rig.send(&format!("GET {location}"), user, "").await;
        assert_eq!(got.status(), status, "{user}");
        if status == 404 {
            let got = rig.send(&format!("DELETE {location}"), user, "").await;
            assert_eq!(got.status(), 404, "{user}");
        }
    }
}

#[tokio::test]
async fn delete_cancels() {
    let mut rig = Rig::new();
    let (location, far) = start(&mut rig, "").await;
    let line = format!("DELETE {location}");
    assert_eq!(rig.send(&line, "", "").await.status(), 202);
    within("the worker is told", far.cancelled.cancelled()).await;
    let got = settle(&rig, &location).await;
    assert_eq!((got.status(), got.code().as_str()), (499, "cancelled"));
    assert_eq!(got.envelope()["details"]["executed"], "unknown");
    // Once more: nothing is left to cancel.
    let again = rig.send(&line, "", "").await;
    assert_eq!((again.status(), again.code().as_str()), (200, "cancelled"));
}

#[tokio::test]
async fn a_result_is_followed_as_events() {
    let mut rig = Rig::new();
    let (location, far) = start(&mut rig, "").await;
    let line = format!("GET {location}");
    let events = "accept: text/event-stream";
    let response = rig.edge.handle(request(&line, events, "")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let again = format!("{events}\nlast-event-id: 0");
    let resumed = rig.edge.handle(request(&line, &again, "")).await;
    far.answers.send(result("7")).await.unwrap();
    let text = String::from_utf8(whole(response).await.body.to_vec()).unwrap();
    assert!(text.starts_with("id: 0\nevent: ack\ndata: {"), "{text}");
    assert!(
        text.contains("\n\nid: 1\nevent: result\ndata: {\"request_id\":\"mine\""),
        "{text}"
    );
    let resumed = String::from_utf8(whole(resumed).await.body.to_vec()).unwrap();
    assert!(resumed.starts_with("id: 1\nevent: result\n"), "{resumed}");
    // When it is there already.
    let done = rig.send(&line, events, "").await;
    assert_eq!(done.body, resumed);
    let over = rig
        .send(&line, "accept: text/event-stream\nlast-event-id: 1", "")
        .await;
    assert_eq!(over.status(), 204);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_a_while() {
    let mut rig = Rig::with(|c| c.results.ttl = Duration::from_secs(60));
    let (location, far) = start(&mut rig, "").await;
    far.answers.send(result("1")).await.unwrap();
    assert_eq!(settle(&rig, &location).await.status(), 200);
    advance(Duration::from_secs(61)).await;
    let got = rig.get(&location).await;
    assert_eq!(
        (got.status(), got.code().as_str()),
        (404, "invalid_request")
    );
}

#[tokio::test]
async fn a_call_whose_result_cannot_be_kept_is_given_up() {
    let mut rig = Rig::with(|c| c.results.max_records = 1);
    let (_first, _far) = start(&mut rig, "").await;
    let got = rig.send("POST /api/s/report", "", "").await;
    assert_eq!((got.status(), got.code().as_str()), (503, "overloaded"));
    let envelope = got.envelope();
    assert_eq!(envelope["details"]["executed"], "unknown");
    assert_eq!(envelope["can_retry"], false);
    let far = rig.opened().await;
    within("the call is cancelled", far.cancelled.cancelled()).await;
    assert_eq!(rig.capacity.in_flight(), 1);
}
