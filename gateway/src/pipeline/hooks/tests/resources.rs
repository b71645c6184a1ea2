//! Hooks and callbacks of resources: they hear where a request goes, and what status came of it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_protocol::function::{FunctionSpec, Kind, ResponseType};
use sluice_protocol::http::RequestHead;
use sluice_protocol::{ErrorCode, Frame, Payload};

use super::{body, names_check, nothing_more, refusal, rig};
use crate::dispatch::fake::{Rig, call, error, result};
use crate::pipeline::{Call, HttpRequest};
use crate::reply::Reply;

fn resource() -> FunctionSpec {
    let mut resource = crate::dispatch::fake::spec();
    resource.kind = Kind::Resource;
    resource.routes = vec!["/books/{id}".to_owned()];
    resource
}

fn put() -> Call {
    let mut call = call(r#"{"id":"7"}"#);
    let head = RequestHead {
        method: "PUT".to_owned(),
        path: "/books/7".to_owned(),
        query: Some("dry=1".to_owned()),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
    };
    let body = Bytes::from_static(br#"{"title":"Emma"}"#);
    call.http = Some(Arc::new(HttpRequest { head, body }));
    call
}

fn response(head: &str, body: &'static [u8]) -> Payload {
    Payload::http(head, &Bytes::from_static(body))
}

fn where_it_goes(question: &Value) {
    let http = &question["request"]["http"];
    assert_eq!(http["method"], "PUT", "{question}");
    assert_eq!(http["path"], "/books/7", "{question}");
    assert_eq!(http["query"], "dry=1", "{question}");
    assert_eq!(http["body_bytes"], 16, "{question}");
    assert_eq!(question["request"]["args"]["id"], "7", "{question}");
}

#[tokio::test(start_paused = true)]
async fn they_decide_by_method_path_query_and_a_small_body() {
    let mut function = resource();
    function.before_execute = names_check();
    function.permission_callback = names_check();
    let mut rig = rig(function);
    let running = rig.start(put());
    for (phase, yes) in [("before", r#"{"allow": true}"#), ("permission", "true")] {
        let asked = rig.sent().await;
        let question = body(&asked);
        assert_eq!(question["phase"], phase);
        where_it_goes(&question);
        assert_eq!(question["request"]["http"]["body"], r#"{"title":"Emma"}"#);
        rig.reply(&asked, result(yes));
    }
    let message = rig.sent().await;
    assert_eq!(message.body, r#"{"title":"Emma"}"#);
    rig.reply(&message, Frame::Result(response(r#"{"status":204}"#, b"")));
    assert!(running.await.unwrap().is_ok());
}

fn heard(response_type: ResponseType) -> Rig {
    let mut function = resource();
    function.response_type = response_type;
    function.after_execute = names_check();
    rig(function)
}

#[tokio::test(start_paused = true)]
async fn an_after_hook_hears_the_status_and_changes_nothing() {
    let mut rig = heard(ResponseType::Sync);
    let running = rig.start(put());
    let message = rig.sent().await;
    let answer = response(r#"{"status":409,"headers":[["x-a","1"]]}"#, b"\xff taken");
    rig.reply(&message, Frame::Result(answer.clone()));
    // Nobody waits for it.
    let Ok(Reply::Result(got)) = running.await.unwrap() else {
        panic!("no response");
    };
    assert_eq!(got, answer);
    let told = rig.sent_call().await;
    let question = body(&told);
    assert_eq!(question["phase"], "after");
    where_it_goes(&question);
    assert!(question["request"]["http"].get("body").is_none());
    assert_eq!(question["response"]["success"], true);
    assert_eq!(question["response"]["result"], json!({"status": 409}));
    rig.reply(&told, result(r#"{"result": 1}"#));
    assert!(nothing_more(&mut rig).await);

    let running = rig.start(put());
    let message = rig.sent_call().await;
    rig.reply(&message, error(refusal(), "a"));
    assert!(running.await.unwrap().is_err());
    let told = rig.sent_call().await;
    assert_eq!(body(&told)["response"]["error_code"], "quota");
}

#[tokio::test(start_paused = true)]
async fn of_a_response_in_pieces_it_hears_the_end() {
    let mut rig = heard(ResponseType::Stream);
    let piece = |seq, head, body| Frame::Item {
        seq,
        payload: response(head, body),
        last: false,
    };
    let running = rig.start(put());
    let message = rig.sent().await;
    rig.reply(&message, piece(1, r#"{"status":206}"#, b"a"));
    rig.reply(&message, piece(2, "{}", b"b"));
    let Ok(Reply::Stream(mut answers)) = running.await.unwrap() else {
        panic!("no stream");
    };
    assert!(answers.next().await.is_some());
    assert!(rig.sent_call_now().is_none(), "not at the first piece");
    rig.reply(&message, Frame::End { count: 2 });
    while answers.next().await.is_some() {}
    let told = rig.sent_call().await;
    assert_eq!(body(&told)["response"]["result"], json!({"status": 206}));

    let running = rig.start(put());
    let message = rig.sent_call().await;
    rig.reply(&message, piece(1, r#"{"status":200}"#, b"a"));
    drop(running.await.unwrap());
    let told = rig.sent_call().await;
    let code = ErrorCode::Cancelled.as_str();
    assert_eq!(body(&told)["response"]["error_code"], code);
}
