//! Every error code over HTTP, in both encodings; and those that this edge says itself.

use serde_json::json;
use sluice_protocol::Executed;

use super::*;
use crate::edge::error_table::{RAN, TABLE};

const JSON: &str = "content-type: application/json\nx-request-id: r1";
const PACKED: &str =
    "content-type: application/json\naccept: application/msgpack\nx-request-id: r1";

#[tokio::test]
async fn every_code_has_its_status_and_envelope() {
    for row in &TABLE {
        for (executed, idempotent) in RAN {
            let mut rig = Rig::new();
            rig.fake.fail_with(row.error(executed, idempotent));
            for headers in [JSON, PACKED] {
                let got = rig.send("POST /api/s/scripted", headers, "{}").await;
                let case = format!("{} {executed:?} {idempotent} {headers}", row.code);
                assert_eq!(got.status(), row.status, "{case}");
                let expected = row.envelope("r1", executed, idempotent);
                assert_eq!(got.envelope(), expected, "{case}");
                let packed = got.header("content-type") == "application/msgpack";
                assert_eq!(packed, headers == PACKED, "{case}");
            }
            rig.open.close();
        }
    }
}

#[tokio::test]
async fn who_may_come_back_is_told_when() {
    for row in &TABLE {
        let rig = Rig::new();
        rig.fake.fail_with(row.error(Executed::No, false));
        let got = rig.send("POST /api/s/scripted", JSON, "{}").await;
        let after = got.header("retry-after");
        match row.detail {
            Some(("retry_after_ms", "1500")) => assert_eq!(after, "2", "{}", row.code),
            _ => assert_eq!(
                !after.is_empty(),
                matches!(row.status, 429 | 503),
                "{}",
                row.code
            ),
        }
    }
}

#[tokio::test]
async fn codes_that_this_edge_says_itself() {
    let rig = Rig::with(|config| config.http.max_body_bytes = 100);
    let json = "content-type: application/json";
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
    for (line, headers, body, status, code) in [
        ("POST /api", json, "{", 400, "invalid_request"),
        ("POST /api", json, "{}", 400, "invalid_request"),
        ("GET /nowhere", "", "", 404, "unknown_function"),
        ("PUT /api/s/echo", json, "{}", 405, "method_not_allowed"),
        (
            "POST /api/s/echo",
            "content-type: application/json\naccept: image/png",
            "{}",
            406,
            "not_acceptable",
        ),
        (
            "POST /api/s/echo",
            json,
            large.as_str(),
            413,
            "payload_too_large",
        ),
        (
            "POST /api/s/echo",
            "content-type: text/plain",
            "x",
            415,
            "unsupported_media_type",
        ),
        ("GET /api/s/typed?m=1&m=2", "", "", 422, "invalid_arguments"),
    ] {
        for packed in [false, true] {
            let headers = match (packed, headers.contains("accept")) {
                (true, false) if headers.is_empty() => "accept: application/msgpack".to_owned(),
                (true, false) => format!("{headers}\naccept: application/msgpack"),
                _ => headers.to_owned(),
            };
            let got = rig.send(line, &headers, body.to_owned()).await;
            let case = format!("{line} {headers}");
            assert_eq!(
                (got.status(), got.code().as_str()),
                (status, code),
                "{case}"
            );
            let envelope = got.envelope();
            assert_eq!(envelope["can_retry"], json!(false), "{case}");
            assert_eq!(envelope["error_source"], "client", "{case}");
            assert_eq!(envelope["details"]["executed"], "no", "{case}");
        }
    }
}
