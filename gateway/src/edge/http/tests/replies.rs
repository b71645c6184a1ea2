//! Each kind of reply, each encoding.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_result_is_spliced_into_its_envelope() {
    let rig = Rig::new();
    let got = rig
        .send(
            "POST /api/s/echo",
            "content-type: application/json\nx-request-id: r 1",
            r#"{"n": 1.0e2}"#,
        )
        .await;
    assert_eq!(got.status(), 200);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-request-id"), "r 1");
    assert_eq!(
        got.body,
        r#"{"request_id":"r 1","success":true,"result":{"n": 1.0e2},"error":"","async":false,"has_more":false,"can_retry":false}"#
    );
}

#[tokio::test]
async fn none_is_accepted() {
    let got = Rig::new().post("/api/s/none", "{}").await;
    let envelope = got.envelope();
    assert_eq!((got.status(), &envelope["success"]), (202, &json!(true)));
    assert_eq!(
        (&envelope["async"], &envelope["result"]),
        (&json!(true), &json!(null))
    );
}

#[tokio::test]
async fn errors_have_their_status_and_say_when_to_come_back() {
    let rig = Rig::new();
    let got = rig.post("/api/s/fail", "{}").await;
    assert_eq!((got.status(), got.code().as_str()), (429, "rate_limited"));
    assert_eq!(got.header("retry-after"), "2");
    let got = rig.post("/api/s/broken", "{}").await;
    assert_eq!((got.status(), got.header("retry-after")), (503, "1"));
    let got = rig.post("/api/s/nope", "{}").await;
    assert_eq!((got.status(), got.header("retry-after")), (404, ""));
}

#[tokio::test]
async fn a_worker_names_its_own_status_and_code() {
    let mut rig = Rig::new();
    let edge = std::sync::Arc::new(rig.edge);
    let call =
        tokio::spawn(
            async move { whole(edge.handle(request("POST /api/s/hold", "", "")).await).await },
        );
    let far = crate::edge::fake::next_open(&mut rig.open).await;
    let mut error = sluice_protocol::CallError::new(sluice_protocol::ErrorCode::WorkerError, "no");
    error.custom_code = Some("no_such_user".to_owned());
    error.status = Some(402);
    far.answers.send(error.into()).await.unwrap();
    let got = call.await.unwrap();
    assert_eq!((got.status(), got.code().as_str()), (402, "no_such_user"));
    assert_eq!(got.envelope()["error_source"], "worker");
}

#[tokio::test]
async fn encodings_follow_content_type_and_accept() {
    let rig = Rig::new();
    let packed = Payload::json(r#"{"a":1}"#)
        .transcode(Encoding::MessagePack)
        .unwrap();
    for (content, accept, answered) in [
        ("application/json", "", "application/json"),
        ("application/msgpack", "", "application/msgpack"),
        ("application/msgpack", "*/*", "application/msgpack"),
        (
            "application/msgpack",
            "application/json",
            "application/json",
        ),
        (
            "application/json",
            "application/x-msgpack",
            "application/msgpack",
        ),
        (
            "application/json",
            "application/msgpack;q=0.5, */*;q=0.9",
            "application/json",
        ),
    ] {
        let body = match content {
            "application/json" => Bytes::from(r#"{"a":1}"#),
            _ => packed.bytes.clone(),
        };
        let mut headers = format!("content-type: {content}");
        if !accept.is_empty() {
            headers = format!("{headers}\naccept: {accept}");
        }
        let got = rig.send("POST /api/s/echo", &headers, body).await;
        assert_eq!(got.header("content-type"), answered, "{headers}");
        assert_eq!(got.envelope()["result"], json!({"a": 1}), "{headers}");
    }
    // Args stay in the encoding in which they came.
    assert_eq!(rig.fake.seen()[1].args, packed);
    // Errors, too, are in the encoding that is wanted.
    let got = rig
        .send("POST /api/s/fail", "accept: application/msgpack", "")
        .await;
    assert_eq!(got.header("content-type"), "application/msgpack");
    assert_eq!(got.code(), "rate_limited");
}

#[tokio::test]
async fn what_json_cannot_say_is_an_error() {
    let rig = Rig::new();
    let got = rig.post("/api/s/binary", "{}").await;
    let envelope = got.envelope();
    assert_eq!((got.status(), got.code().as_str()), (406, "not_acceptable"));
    assert_eq!(envelope["details"]["executed"], "yes");
    assert_eq!(envelope["can_retry"], false);
    assert!(
        envelope["error"]
            .as_str()
            .unwrap()
            .contains("application/msgpack")
    );
    let got = rig
        .send("POST /api/s/binary", "accept: application/msgpack", "")
        .await;
    assert_eq!(got.status(), 200);
    assert!(
        got.body.windows(3).any(|w| w == [0xc4, 1, 7]),
        "the binary as it was"
    );
}

#[tokio::test]
async fn health_is_told() {
    let rig = Rig::new();
    let got = rig.get("/health/live").await;
    assert_eq!(got.status(), 200);
    let ready = || async {
        let got = rig.get("/health/ready").await;
        (
            got.status(),
            serde_json::from_slice::<Value>(&got.body).unwrap(),
        )
    };
    let body = |status, connected, draining| json!({"status": status, "broker_connected": connected, "draining": draining});
    assert_eq!(ready().await, (503, body("starting", false, false)));
    rig.health.set_discovered();
    rig.health.set_broker_connected(true);
    assert_eq!(ready().await, (200, body("ready", true, false)));
    rig.health.set_broker_connected(false);
    assert_eq!(ready().await, (200, body("ready", false, false)));
    rig.health.set_draining();
    assert_eq!(ready().await, (503, body("draining", false, true)));
}

#[tokio::test]
async fn head_is_get_without_body() {
    let rig = Rig::new();
    let get = rig.get("/api/s/echo?a=1").await;
    let head = rig.send("HEAD /api/s/echo?a=1", "", "").await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    assert_eq!(head.header("content-type"), "application/json");
}
