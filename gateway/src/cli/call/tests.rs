//! `sluice call` against a gateway that follows a script.

use axum::body::Body;
use clap::Parser;
use futures_util::stream;
use serde_json::json;

use super::super::testing::{self, Output, Server, closed_port};
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// `sluice call …` with `line`, parted by spaces.
async fn call(url: &str, line: &str) -> (Result<Exit, Failure>, Output) {
    let mut output = Output::default();
    let exit = call_with(url, line, &mut output).await;
    (exit, output)
}

async fn call_with(url: &str, line: &str, output: &mut Output) -> Result<Exit, Failure> {
    let words = ["call", "--url", url].into_iter().chain(line.split(' '));
    let args = Line::try_parse_from(words).unwrap().args;
    run(&args, &mut output.terminal()).await
}

fn envelope(result: &str) -> String {
    format!(
        r#"{{"request_id":"r1","success":true,"result":{result},"error":"","async":false,"has_more":false,"can_retry":false}}"#
    )
}

fn failed(code: &str, can_retry: bool, details: Value) -> String {
    json!({
        "request_id": "r1", "success": false, "result": null, "error": "it did not work",
        "async": false, "has_more": false, "can_retry": can_retry,
        "error_code": code, "error_source": "worker", "details": details,
    })
    .to_string()
}

fn event(kind: &str, result: &str, has_more: bool) -> String {
    format!(
        "event: {kind}\ndata: {{\"request_id\":\"r1\",\"success\":true,\"result\":{result},\
         \"error\":\"\",\"async\":true,\"has_more\":{has_more},\"can_retry\":false}}\n\n"
    )
}

fn events(text: String) -> testing::Answer {
    testing::Answer::streaming(200, Body::from(text)).with("content-type", "text/event-stream")
}

#[tokio::test]
async fn a_result_is_printed_prettily_with_every_digit() {
    let server = Server::answering(vec![testing::Answer::new(
        200,
        envelope(r#"{"n":1.0e2,"name":"ann"}"#),
    )])
    .await;
    let line =
        "my.users get/it n=1 name=ann --token t0 --user u1 --role a --role b --timeout-ms 50";
    let (exit, output) = call(&server.url(), line).await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    assert_eq!(output.out(), "{\n  \"n\": 1.0e2,\n  \"name\": \"ann\"\n}\n");
    assert_eq!(output.err(), "");
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/api/my.users/get%2Fit")
    );
    assert_eq!(seen.body, r#"{"n":1,"name":"ann"}"#);
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("authorization", "Bearer t0"),
        ("x-user-id", "u1"),
        ("x-user-roles", "a,b"),
        ("x-timeout-ms", "50"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
}

#[tokio::test]
async fn a_version_travels_in_a_whole_request() {
    for line in ["users get a=1.50 --version 1.0.0", ".. get a=1.50"] {
        let server = Server::answering(vec![testing::Answer::new(200, envelope("null"))]).await;
        let (exit, output) = call(&server.url(), line).await;
        assert_eq!((exit.unwrap(), output.out().as_str()), (Exit::Ok, "null\n"));
        let seen = &server.seen()[0];
        assert_eq!(seen.path, "/api");
        assert!(seen.body.contains(r#""args":{"a":1.50}"#), "{}", seen.body);
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let version = line.contains("--version").then_some("1.0.0");
        assert_eq!(body["version"].as_str(), version);
        assert_eq!(body["request_type"], "get");
    }
}

#[tokio::test]
async fn json_prints_the_envelope_in_one_line() {
    let body = envelope("[1,\n 2]");
    let error = failed("timeout", true, json!({"executed": "no"}));
    let server = Server::answering(vec![
        testing::Answer::new(200, body.clone()),
        testing::Answer::new(504, error.clone()),
    ])
    .await;
    let (exit, output) = call(&server.url(), "s f --json").await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    assert_eq!(output.out(), format!("{}\n", body.replace("\n ", "")));
    let (exit, output) = call(&server.url(), "s f --json").await;
    assert_eq!(exit.unwrap(), Exit::Failed);
    assert_eq!(output.out(), format!("{error}\n"));
    assert_eq!(output.err(), "");
}

#[tokio::test]
async fn errors_list_faults_and_say_whether_a_retry_is_safe() {
    let faults = json!({
        "faults": [
            {"path": "/age", "category": "type", "message": "must be a number"},
            {"path": "", "category": "x", "message": "too many\u{1b}[2J"},
        ],
        "executed": "no", "hint": "look", "max": 5,
    });
    for (code, can_retry, details, said) in [
        (
            "invalid_arguments",
            false,
            faults,
            "  /age: must be a number\n  too many\\u{1b}[2J\n  hint: look\n  max: 5\n\
             source: worker, request id: r1\nretry: the same request would fail again\n",
        ),
        (
            "rate_limited",
            true,
            json!({"executed": "no", "retry_after_ms": 30}),
            "source: worker, request id: r1\nretry: safe, after 30 ms\n",
        ),
        (
            "no_workers",
            true,
            json!({"executed": "no"}),
            "source: worker, request id: r1\nretry: safe\n",
        ),
        (
            "worker_lost",
            false,
            json!({"executed": "unknown"}),
            "source: worker, request id: r1\nretry: not safe, the call may have run\n",
        ),
        (
            "worker_error",
            false,
            json!({"executed": "yes"}),
            "source: worker, request id: r1\nretry: not safe, the call has run\n",
        ),
    ] {
        let answer = testing::Answer::new(422, failed(code, can_retry, details));
        let server = Server::answering(vec![answer]).await;
        let (exit, output) = call(&server.url(), "s f").await;
        assert_eq!(exit.unwrap(), Exit::Failed);
        assert_eq!(
            output.err(),
            format!("error: {code}: it did not work\n{said}")
        );
        assert_eq!(output.out(), "");
    }
}

#[tokio::test]
async fn async_calls_are_followed_to_their_result() {
    let pending = || testing::Answer::new(202, envelope("null")).with("retry-after", "0");
    let server = Server::answering(vec![
        pending().with("location", "/api/calls/abc"),
        pending(),
        testing::Answer::new(200, envelope("\"done\"")),
    ])
    .await;
    let (exit, output) = call(&server.url(), "s f --token t0 --user u1").await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    assert_eq!(output.out(), "\"done\"\n");
    assert!(output.err().contains("/api/calls/abc"));
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for poll in &seen[1..] {
        assert_eq!(
            (poll.method.as_str(), poll.path.as_str()),
            ("GET", "/api/calls/abc")
        );
        assert_eq!(poll.headers["authorization"], "Bearer t0");
        assert_eq!(poll.headers["x-user-id"], "u1");
    }
}

#[tokio::test]
async fn a_token_follows_to_no_other_place() {
    let elsewhere = Server::answering(vec![]).await;
    let location = format!("{}/api/calls/abc", elsewhere.url());
    let server = Server::answering(vec![
        testing::Answer::new(202, envelope("null")).with("location", &location),
    ])
    .await;
    let (exit, _) = call(&server.url(), "s f --token t0").await;
    assert!(matches!(exit, Err(Failure::Failed(why)) if why.contains("strange location")));
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_function_without_result_is_accepted() {
    let server = Server::answering(vec![testing::Answer::new(202, envelope("null"))]).await;
    let (exit, output) = call(&server.url(), "s f").await;
    assert_eq!((exit.unwrap(), output.out().as_str()), (Exit::Ok, ""));
    assert!(output.err().contains("accepted"));
}

#[tokio::test]
async fn items_are_printed_as_they_come() {
    let mut output = Output::default();
    let printed = output.watched();
    // The second item leaves the server only when the first has been printed.
    let parts = stream::unfold(0, move |step| {
        let printed = printed.clone();
        async move {
            let part = match step {
                0 => {
                    event("ack", "null", true) + ": alive\n\n" + &event("item", "{\"n\": 1}", true)
                }
                1 => {
                    printed.contains("{\"n\":1}\n").await;
                    event("item", "{\"n\": 2}", true)
                }
                2 => event("end", "null", false),
                _ => return None,
            };
            Some((Ok::<_, std::io::Error>(part), step + 1))
        }
    });
    let answer = testing::Answer::streaming(200, Body::from_stream(parts))
        .with("content-type", "text/event-stream; charset=utf-8");
    let server = Server::answering(vec![answer]).await;
    let exit = call_with(&server.url(), "s f --stream", &mut output).await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    assert_eq!(output.out(), "{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(
        server.seen()[0].headers["accept"],
        "text/event-stream, application/json"
    );
}

#[tokio::test]
async fn a_stream_ends_for_a_reason() {
    let error = failed("stream_lost", false, json!({"executed": "unknown"}));
    let error = format!("event: error\ndata: {error}\n\n");
    let last = event("item", "2", false);
    for (text, exit, out) in [
        (
            event("item", "1", true) + &last + "data: after\n\n",
            Exit::Ok,
            "1\n2\n",
        ),
        (event("item", "1", true) + &error, Exit::Failed, "1\n"),
        (event("news", "1", true) + &last, Exit::Ok, "2\n"),
    ] {
        let server = Server::answering(vec![events(text)]).await;
        let (got, output) = call(&server.url(), "s f --stream").await;
        assert_eq!((got.unwrap(), output.out().as_str()), (exit, out));
    }
    for (text, why) in [
        (event("item", "1", true), "broke off"),
        (
            "event: item\ndata: x\n\n".to_owned(),
            "no answer of a Sluice gateway",
        ),
    ] {
        let server = Server::answering(vec![events(text)]).await;
        let (got, _) = call(&server.url(), "s f --stream").await;
        assert!(matches!(got, Err(Failure::Failed(said)) if said.contains(why)));
    }
}

#[tokio::test]
async fn a_stream_as_json_is_one_envelope_a_line() {
    let text =
        event("ack", "null", true) + &event("item", "1", true) + &event("end", "null", false);
    let server = Server::answering(vec![events(text)]).await;
    let (exit, output) = call(&server.url(), "s f --stream --json").await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    let lines: Vec<Value> = output
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["result"], 1);
}

#[tokio::test]
async fn a_stream_without_stream_gets_a_hint() {
    let answer = testing::Answer::new(406, failed("not_acceptable", false, json!({})));
    let server = Server::answering(vec![answer]).await;
    let (exit, output) = call(&server.url(), "s f").await;
    assert_eq!(exit.unwrap(), Exit::Failed);
    assert!(
        output
            .err()
            .ends_with("a function that streams wants --stream\n")
    );
}

#[tokio::test]
async fn nobody_there_says_how_to_start_a_gateway() {
    let (exit, _) = call(&closed_port().await, "s f").await;
    let Err(Failure::Unreachable(why)) = exit else {
        panic!("{exit:?}");
    };
    assert!(
        why.contains("is the gateway running? start one with `sluice dev`"),
        "{why}"
    );
}

#[tokio::test]
async fn answers_of_others_are_told_apart() {
    for body in ["<html>\u{1b}[2J</html>", "{}", "", "[1]"] {
        let server = Server::answering(vec![testing::Answer::new(404, body)]).await;
        let (exit, _) = call(&server.url(), "s f").await;
        let Err(Failure::Failed(why)) = exit else {
            panic!("{exit:?}");
        };
        assert!(
            why.contains("no answer of a Sluice gateway") && why.contains("404"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer() {
    let parts = stream::iter([Ok("{\"request_id\""), Err(std::io::Error::other("gone"))]);
    let answer = testing::Answer::streaming(200, Body::from_stream(parts));
    let server = Server::answering(vec![answer]).await;
    let (exit, _) = call(&server.url(), "s f").await;
    assert!(
        matches!(&exit, Err(Failure::Failed(why)) if why.contains("broke")),
        "{exit:?}"
    );
}

#[tokio::test]
async fn names_must_not_be_empty_and_headers_hold_one_line() {
    let mut output = Output::default();
    let args = |words: &[&str]| Line::try_parse_from(words).unwrap().args;
    for words in [
        &["call", "", "f"][..],
        &["call", "s", ""],
        &["call", "s", "f", "--user", "a\nb"],
    ] {
        let exit = run(&args(words), &mut output.terminal()).await;
        assert!(matches!(exit, Err(Failure::Usage(_))), "{words:?}");
    }
}
