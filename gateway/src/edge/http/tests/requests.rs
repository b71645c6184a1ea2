//! What of a request reaches the function.

use serde_json::json;
use sluice_protocol::Identity;

use super::*;
use crate::pipeline::Call;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn only_call(rig: &Rig) -> Call {
    let mut seen = rig.fake.seen();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

#[tokio::test]
async fn headers_of_a_call() {
    let rig = Rig::new();
    let headers = format!(
        "content-type: application/json\nx-request-id: é1\nsluice-version: 2\nx-timeout-ms: 70\n\
         traceparent: {TRACE}\nidempotency-key: k\nx-user-id: u\nx-device-id: d\nx-user-roles: a, b"
    );
    let got = rig
        .send("POST /api/my%2Fs/echo", &headers, r#"{"a":1}"#)
        .await;
    assert_eq!((got.status(), got.header("x-request-id")), (200, "é1"));
    let call = only_call(&rig).await;
    assert_eq!(call.service.as_str(), "my/s");
    assert_eq!(call.request_id.as_str(), "é1");
    assert_eq!(call.version.as_deref(), Some("2"));
    assert_eq!(call.timeout_ms, Some(70));
    assert_eq!(
        call.trace.as_ref().map(|t| t.parent.to_string()).as_deref(),
        Some(TRACE)
    );
    assert_eq!(call.idempotency_key.as_deref(), Some("k"));
    assert_eq!(call.args, Payload::json(r#"{"a":1}"#));
    assert!(!call.idempotent_only);
    let roles = vec!["a".to_owned(), "b".to_owned()];
    let (user_id, device_id) = (Some("u".to_owned()), Some("d".to_owned()));
    assert_eq!(
        call.identity,
        Identity {
            user_id,
            device_id,
            roles
        }
    );
}

#[tokio::test]
async fn a_call_says_nothing_it_need_not() {
    let rig = Rig::new();
    for headers in ["", "content-type: text/plain", "traceparent: nonsense"] {
        let got = rig.send("POST /api/s/echo", headers, "").await;
        assert_eq!(got.envelope()["result"], json!({}), "{headers}");
        assert_eq!(got.header("x-request-id").len(), 32);
    }
    let call = &rig.fake.seen()[2];
    assert_eq!(
        (&call.trace, &call.version, call.timeout_ms),
        (&None, &None, None)
    );
    assert_eq!(call.identity, Identity::anonymous());
}

#[tokio::test]
async fn fields_of_a_whole_request() {
    let rig = Rig::new();
    let body = json!({
        "request_id": "mine", "service": "s", "request_type": "echo", "version": "3",
        "args": {"n": 1}, "user_id": "u", "timeout_ms": 50, "trace": TRACE, "unknown": 1,
    });
    for (headers, bytes) in [
        (
            "content-type: application/json",
            body.to_string().into_bytes(),
        ),
        (
            "content-type: application/msgpack",
            rmp_serde::to_vec_named(&body).unwrap(),
        ),
    ] {
        let headers =
            format!("{headers}\nx-request-id: proxy\nx-timeout-ms: 900\nsluice-version: 9");
        let got = rig.send("POST /api", &headers, bytes).await;
        assert_eq!((got.status(), got.header("x-request-id")), (200, "mine"));
        assert_eq!(got.envelope()["request_id"], "mine");
        assert_eq!(got.envelope()["result"], json!({"n": 1}));
    }
    for call in rig.fake.seen() {
        assert_eq!(call.request_id.as_str(), "mine");
        assert_eq!(call.version.as_deref(), Some("3"));
        assert_eq!(call.timeout_ms, Some(50));
        assert_eq!(
            call.trace.as_ref().map(|t| t.parent.to_string()).as_deref(),
            Some(TRACE)
        );
        assert_eq!(call.identity.user_id.as_deref(), Some("u"));
    }
}

#[tokio::test]
async fn claims_count_only_where_clients_are_trusted() {
    let rig = Rig::with(|c| c.identity.trust_client_identity = false);
    let body = r#"{"service":"s","request_type":"echo","user_id":"root","user_roles":["admin"]}"#;
    let headers = "content-type: application/json\nx-user-id: root\nx-user-roles: admin";
    rig.send("POST /api", headers, body).await;
    rig.send("POST /api/s/echo", "x-user-id: root", "").await;
    rig.send("GET /api/s/echo", "x-user-id: root", "").await;
    for call in rig.fake.seen() {
        assert_eq!(call.identity, Identity::anonymous());
    }
}

#[tokio::test]
async fn get_reads_args_from_the_query() {
    let rig = Rig::new();
    let got = rig.get("/api/s/typed?n=1.50&l=a&other=%C3%A9+x").await;
    assert_eq!(got.status(), 200);
    let call = only_call(&rig).await;
    assert_eq!(
        call.args,
        Payload::json(r#"{"n":1.50,"l":["a"],"other":"é x"}"#)
    );
    assert!(call.idempotent_only);
    let got = rig.get("/api/s/typed?n=1&n=2&x=%f").await;
    let faults = &got.envelope()["details"]["faults"];
    assert_eq!(
        (got.status(), got.code().as_str()),
        (422, "invalid_arguments")
    );
    assert_eq!(
        (&faults[0]["path"], &faults[1]["path"]),
        (&json!("/x"), &json!("/n"))
    );
}

#[tokio::test]
async fn a_service_may_be_called_calls() {
    let rig = Rig::new();
    assert_eq!(rig.post("/api/calls/echo", "{}").await.status(), 200);
    assert_eq!(only_call(&rig).await.service.as_str(), "calls");
}
