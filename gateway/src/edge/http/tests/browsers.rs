//! CORS, and what `EventSource` does.

use super::*;

const ORIGIN: &str = "https://app.example";

fn rig() -> Rig {
    Rig::with(|c| c.http.cors_origins = vec![ORIGIN.to_owned()])
}

#[tokio::test]
async fn a_preflight_is_answered_and_calls_nothing() {
    let rig = rig();
    let headers = format!(
        "origin: {ORIGIN}\naccess-control-request-method: POST\n\
         access-control-request-headers: content-type,x-user-id"
    );
    let got = rig.send("OPTIONS /api/s/echo", &headers, "").await;
    assert_eq!((got.status(), got.body.len()), (204, 0));
    assert_eq!(got.header("access-control-allow-origin"), ORIGIN);
    assert!(got.header("access-control-allow-methods").contains("POST"));
    for name in [
        "content-type",
        "x-user-id",
        "idempotency-key",
        "sluice-version",
    ] {
        assert!(
            got.header("access-control-allow-headers").contains(name),
            "{name}"
        );
    }
    assert_eq!(got.header("vary"), "origin");
    assert_eq!(rig.fake.seen().len(), 0);
    let plain = rig.send("OPTIONS /api/s/echo", "", "").await;
    assert_eq!(
        (plain.status(), plain.header("allow")),
        (204, "GET, HEAD, POST, OPTIONS")
    );
    assert_eq!(plain.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn errors_can_be_read_by_the_page_too() {
    let rig = rig();
    for line in ["POST /api/s/echo", "POST /api/s/nope", "GET /nothing"] {
        let got = rig.send(line, &format!("origin: {ORIGIN}"), "").await;
        assert_eq!(got.header("access-control-allow-origin"), ORIGIN, "{line}");
        assert!(
            got.header("access-control-expose-headers")
                .contains("x-request-id")
        );
        let got = rig.send(line, "origin: https://evil.example", "").await;
        assert_eq!(got.header("access-control-allow-origin"), "", "{line}");
    }
}

#[tokio::test]
async fn an_event_source_that_comes_back_is_told_to_stop() {
    let rig = Rig::new();
    let got = rig
        .send(
            "GET /api/s/items",
            "accept: text/event-stream\nlast-event-id: 3",
            "",
        )
        .await;
    assert_eq!((got.status(), got.body.len()), (204, 0));
    assert_eq!(rig.fake.seen().len(), 0);
}
