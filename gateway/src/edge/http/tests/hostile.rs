//! Requests that cannot be meant so: each is a clear error, and none reaches a function.

use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;

#[tokio::test]
async fn each_is_a_clear_error() {
    let rig = Rig::with(|c| c.http.max_body_bytes = 1000);
    const JSON: &str = "content-type: application/json";
    let long_name = format!("POST /api/s/{}", "x".repeat(129));
    let large = "x".repeat(1001);
    let unknown_q = "content-type: application/json\naccept: text/html, image/*;q=0.1";
    let rows: Vec<(&str, &str, &str, u16, &str)> = vec![
        ("GET /", "", "", 404, "unknown_function"),
        ("POST /api/s", JSON, "{}", 404, "unknown_function"),
        ("POST /api/s/echo/", JSON, "{}", 404, "unknown_function"),
        ("POST /api//echo", JSON, "{}", 404, "unknown_function"),
        ("OPTIONS /nowhere", "", "", 404, "unknown_function"),
        ("PUT /api/s/echo", JSON, "{}", 405, "method_not_allowed"),
        ("DELETE /api/s/echo", "", "", 405, "method_not_allowed"),
        ("GET /api", "", "", 405, "method_not_allowed"),
        ("POST /health/live", "", "", 405, "method_not_allowed"),
        ("BREW /api/s/echo", "", "", 405, "method_not_allowed"),
        (&long_name, JSON, "{}", 400, "invalid_request"),
        ("POST /api/s/%zz", JSON, "{}", 400, "invalid_request"),
        ("POST /api/s/%ff", JSON, "{}", 400, "invalid_request"),
        ("POST /api/s/a%00b", JSON, "{}", 400, "invalid_request"),
        ("POST /api/s/%", JSON, "{}", 400, "invalid_request"),
        ("POST /api/s/echo", JSON, &large, 413, "payload_too_large"),
        ("POST /api", JSON, &large, 413, "payload_too_large"),
        ("POST /api/s/echo", "", "{}", 415, "unsupported_media_type"),
        (
            "POST /api/s/echo",
            "content-type: text/plain",
            "{}",
            415,
            "unsupported_media_type",
        ),
        (
            "POST /api/s/echo",
            "content-type: json",
            "{}",
            415,
            "unsupported_media_type",
        ),
        (
            "POST /api/s/echo",
            "content-type: application/json\ncontent-encoding: gzip",
            "{}",
            415,
            "unsupported_media_type",
        ),
        ("POST /api/s/echo", unknown_q, "{}", 406, "not_acceptable"),
        (
            "POST /api/s/echo",
            "accept: text/event-stream",
            "",
            406,
            "not_acceptable",
        ),
        (
            "POST /api/s/none",
            "accept: application/x-ndjson",
            "",
            406,
            "not_acceptable",
        ),
        (
            "POST /api/s/items",
            "accept: application/msgpack",
            "",
            406,
            "not_acceptable",
        ),
        (
            "POST /api/s/echo",
            "accept: application/json;q=0",
            "",
            406,
            "not_acceptable",
        ),
        (
            "POST /api/s/echo",
            "x-timeout-ms: 0",
            "",
            400,
            "invalid_request",
        ),
        (
            "POST /api/s/echo",
            "x-timeout-ms: soon",
            "",
            400,
            "invalid_request",
        ),
        (
            "POST /api/s/echo",
            "idempotency-key: é",
            "",
            400,
            "invalid_request",
        ),
        (
            "POST /api/s/echo",
            "x-request-id: a\tb",
            "",
            400,
            "invalid_request",
        ),
        ("GET /api/s/echo?a=%zz", "", "", 422, "invalid_arguments"),
        ("GET /api/s/echo?a=1&a=2", "", "", 422, "invalid_arguments"),
        ("POST /api", JSON, "", 400, "invalid_request"),
        ("POST /api", JSON, "{", 400, "invalid_request"),
        ("POST /api", JSON, "[]", 400, "invalid_request"),
        (
            "POST /api",
            JSON,
            "{\"service\":\"s\"}",
            400,
            "invalid_request",
        ),
        (
            "POST /api",
            JSON,
            "{\"service\":\"s\",\"request_type\":\"echo\",\"timeout_ms\":0}",
            400,
            "invalid_request",
        ),
        (
            "POST /api",
            JSON,
            "{\"service\":\"s\",\"request_type\":\"echo\",\"idempotency_key\":\"\"}",
            400,
            "invalid_request",
        ),
        (
            "POST /api",
            "content-type: application/msgpack",
            "\u{1}",
            400,
            "invalid_request",
        ),
        ("GET /api/calls/nothing", "", "", 404, "invalid_request"),
        (
            "DELETE /api/calls/0123456789abcdef0123456789abcdef",
            "",
            "",
            404,
            "invalid_request",
        ),
    ];
    for (line, headers, body, status, code) in rows {
        let row = format!("{line} {headers:?}");
        let got = rig.send(line, headers, body.to_owned()).await;
        let envelope = got.envelope();
        assert_eq!(
            (got.status(), got.code().as_str()),
            (status, code),
            "{row} {envelope}"
        );
        assert_eq!(envelope["success"], false, "{row}");
        assert_eq!(envelope["details"]["executed"], "no", "{row}");
        assert!(!envelope["error"].as_str().unwrap().is_empty(), "{row}");
        assert_eq!(got.header("x-request-id"), envelope["request_id"], "{row}");
        assert_eq!(got.header("cache-control"), "no-store", "{row}");
        assert_eq!(got.header("allow").is_empty(), status != 405, "{row}");
    }
    assert_eq!(rig.fake.seen().len(), 0);
    assert_eq!(rig.capacity.in_flight(), 0);
}

#[tokio::test]
async fn headers_that_are_not_text_are_refused() {
    let rig = Rig::new();
    for name in [
        "x-request-id",
        "x-timeout-ms",
        "sluice-version",
        "x-user-id",
        "idempotency-key",
    ] {
        let mut request = request("POST /api/s/echo", "", "");
        let value = http::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
        request.headers_mut().insert(name, value);
        let got = whole(rig.edge.handle(request).await).await;
        assert_eq!(
            (got.status(), got.code().as_str()),
            (400, "invalid_request"),
            "{name}"
        );
    }
    assert_eq!(rig.fake.seen().len(), 0);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let rig = Rig::with(|c| c.http.max_body_bytes = 100);
    let chunk = || Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[b' '; 30])));
    for (chunks, status) in [(3, 200), (4, 413)] {
        let body = StreamBody::new(stream::iter((0..chunks).map(|_| chunk())));
        let request = Request::post("/api/s/echo")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let got = whole(rig.edge.handle(request).await).await;
        assert_eq!(got.status(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let rig = Rig::new();
    let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let request = Request::post("/api")
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let got = whole(rig.edge.handle(request).await).await;
    assert_eq!(
        (got.status(), got.code().as_str()),
        (408, "invalid_request")
    );
}

#[tokio::test]
async fn a_full_gateway_refuses_before_it_reads() {
    let mut rig = Rig::with(|c| c.gateway.max_in_flight = 1);
    let first = rig.edge.handle(request("POST /api/s/items", "", ""));
    let stream = first.await;
    let _far = rig.opened().await;
    let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let request = Request::post("/api/s/echo")
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let got = whole(rig.edge.handle(request).await).await;
    assert_eq!((got.status(), got.code().as_str()), (503, "overloaded"));
    assert_eq!(got.header("retry-after"), "1");
    assert_eq!(got.envelope()["can_retry"], true);
    // The stream's place is free when its body is gone.
    drop(stream);
    assert_eq!(rig.post("/api/s/echo", "{}").await.status(), 200);
}
