//! Declared routes, and the args of URLs: who is asked what, in which order.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sluice_protocol::ErrorCode;

use super::*;
use crate::edge::error_table::{RAN, TABLE};
use crate::edge::fake::PINNED;
use crate::edge::identity::Peer;

const JSON: &str = "content-type: application/json\nx-request-id: r1";

#[tokio::test]
async fn every_code_comes_as_a_problem_with_its_status() {
    for row in &TABLE {
        for (executed, idempotent) in RAN {
            let rig = Rig::new();
            rig.fake.fail_with(row.error(executed, idempotent));
            for line in [
                "POST /r/scripted",
                "GET /r/scripted/7",
                "PUT /resources/scripted",
            ] {
                let got = rig.send(line, JSON, "{}").await;
                let case = format!("{} {executed:?} {idempotent} {line}", row.code);
                assert_eq!(got.status(), row.status, "{case}");
                let media_type = got.header("content-type");
                assert_eq!(media_type, "application/problem+json", "{case}");
                assert_eq!(got.header("x-request-id"), "r1", "{case}");
                let waits = matches!(row.status, 429 | 503);
                assert_eq!(!got.header("retry-after").is_empty(), waits, "{case}");
                let envelope = row.envelope("r1", executed, idempotent);
                let problem: Value = serde_json::from_slice(&got.body).unwrap();
                let title = problem["title"].as_str().unwrap_or_default();
                assert!(!title.is_empty(), "{case}");
                let expected = json!({
                    "type": "about:blank", "title": title, "status": row.status,
                    "detail": envelope["error"], "code": row.code, "source": row.source,
                    "can_retry": envelope["can_retry"], "request_id": "r1",
                    "details": envelope["details"],
                });
                assert_eq!(problem, expected, "{case}");
                let code = ErrorCode::parse(row.code).unwrap();
                assert_eq!(rig.fake.refused(code), 0, "{case}: the pipeline counts it");
            }
        }
    }
}

#[tokio::test]
async fn what_this_edge_refuses_itself_is_a_problem_too() {
    let rig = Rig::with(|config| {
        config.http.max_body_bytes = 100;
        config.jwt.secret = Some("at-least-thirty-two-bytes-of-secret".to_owned());
    });
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
    for (line, headers, body, status, code) in [
        (
            "GET /r/echo",
            "authorization: Bearer x",
            "",
            401,
            "unauthenticated",
        ),
        (
            "GET /resources/echo",
            "authorization: Bearer x",
            "",
            401,
            "unauthenticated",
        ),
        (
            "GET /r/echo",
            "sluice-version: 9",
            "",
            404,
            "unknown_version",
        ),
        (
            "GET /r/items",
            "accept: image/png",
            "",
            406,
            "not_acceptable",
        ),
        ("POST /r/echo", JSON, &large, 413, "payload_too_large"),
        (
            "PUT /resources/echo",
            JSON,
            &large,
            413,
            "payload_too_large",
        ),
        (
            "POST /r/echo",
            "content-type: text/plain",
            "x",
            415,
            "unsupported_media_type",
        ),
        ("GET /r/typed/7?n=7", "", "", 422, "invalid_arguments"),
        ("GET /r/typed?n=1&n=2", "", "", 422, "invalid_arguments"),
        (
            "POST /r/typed/7",
            JSON,
            "{\"n\":8}",
            422,
            "invalid_arguments",
        ),
    ] {
        let counted = ErrorCode::parse(code).unwrap();
        let before = rig.fake.refused(counted);
        let got = rig.send(line, headers, body.to_owned()).await;
        assert_eq!(got.status(), status, "{line} {headers}");
        assert_eq!(
            rig.fake.refused(counted),
            before + 1,
            "{line}: it is counted"
        );
        let media_type = got.header("content-type");
        assert_eq!(media_type, "application/problem+json", "{line}");
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(problem["code"], code, "{line}: {problem}");
        assert_eq!(problem["source"], "client", "{line}: {problem}");
        assert_eq!(problem["details"]["executed"], "no", "{line}: {problem}");
    }
    assert!(rig.fake.seen().is_empty(), "nothing was called");
}

/// Where a wrong arg can stand in a URL, and a version that is not there.
const FAULTY: [(&str, &str); 4] = [
    ("GET /api/s/typed?n=1&n=2", "invalid_arguments"),
    ("GET /r/typed/1?n=2", "invalid_arguments"),
    ("GET /r/typed?n=1&n=2", "invalid_arguments"),
    ("GET /r/typed?v=9", "unknown_version"),
];

/// What the request says is wrong, as envelope or as problem.
fn code(got: &Got) -> String {
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    let code = body.get("error_code").or(body.get("code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn by_query(config: &mut crate::config::Config) {
    config.jwt.secret = Some("at-least-thirty-two-bytes-of-secret".to_owned());
    config.versions.sources = vec!["query:v".to_owned()];
    config.limits.refused_per_minute = 2;
}

#[tokio::test]
async fn strangers_hear_nothing_of_args_and_versions() {
    for (line, expected) in FAULTY {
        let rig = Rig::with(by_query);
        let got = rig.send(line, "authorization: Bearer x", "").await;
        assert_eq!(
            (got.status(), code(&got).as_str()),
            (401, "unauthenticated"),
            "{line}"
        );
        assert_eq!(code(&rig.send(line, "", "").await), expected, "{line}");
    }
}

#[tokio::test]
async fn whoever_sends_wrong_urls_all_the_time_is_limited() {
    for (line, expected) in FAULTY {
        let rig = Rig::with(by_query);
        let send = async |host: u8| {
            let mut request = request(line, "", "");
            request
                .extensions_mut()
                .insert(Peer([192, 0, 2, host].into()));
            code(&whole(rig.edge.handle(request).await).await)
        };
        for _ in 0..2 {
            assert_eq!(send(1).await, expected, "{line}");
        }
        assert_eq!(send(1).await, "rate_limited", "{line}");
        assert_eq!(send(2).await, expected, "{line}: somebody else");
    }
}

#[tokio::test]
async fn verified_callers_behind_one_address_have_a_patience_each() {
    for (line, expected) in FAULTY {
        let rig = Rig::with(|config| {
            by_query(config);
            config.api_keys = ["ann", "bob"].map(key_of).to_vec();
        });
        let send = async |user: &str| {
            let mut request = request(line, &format!("x-api-key: sk_{user}"), "");
            request.extensions_mut().insert(Peer([192, 0, 2, 1].into()));
            code(&whole(rig.edge.handle(request).await).await)
        };
        for _ in 0..2 {
            assert_eq!(send("ann").await, expected, "{line}");
        }
        assert_eq!(send("ann").await, "rate_limited", "{line}");
        assert_eq!(send("bob").await, expected, "{line}: somebody else");
    }
}

fn key_of(user: &str) -> crate::config::ApiKey {
    crate::config::ApiKey {
        id: user.to_owned(),
        hash: Sha256::digest(format!("sk_{user}")).into(),
        user_id: user.to_owned(),
        roles: Vec::new(),
        limits: Vec::new(),
    }
}

/// In version 1 `n` is a text, in the latest a number.
#[tokio::test]
async fn urls_are_read_by_the_types_of_the_version_that_is_called() {
    for line in ["GET /api/s/typed?n=5", "GET /r/typed?n=5", "GET /r/typed/5"] {
        let rig = Rig::new();
        for (user, expected) in [("somebody", r#"{"n":5}"#), (PINNED, r#"{"n":"5"}"#)] {
            let got = rig.send(line, &format!("x-user-id: {user}"), "").await;
            assert_eq!(got.status(), 200, "{line} {user}");
            let seen = rig.fake.seen();
            let call = seen.last().unwrap();
            assert_eq!(call.args.bytes, expected, "{line} {user}");
            let pinned = user == PINNED && line.contains("/r/");
            assert_eq!(call.version.is_some(), pinned, "{line} {user}");
        }
    }
}

/// Anybody can write these fields; a resource must not come to believe them.
#[tokio::test]
async fn resources_do_not_see_whom_a_client_claims_to_be() {
    let headers =
        "X-User-Id: root\nX-USER-ROLES: admin\nx-device-id: d\nx-other: kept\nx-user-id: again";
    for trusts in [false, true] {
        let rig = Rig::with(|config| config.identity.trust_client_identity = trusts);
        rig.send("GET /resources/echo", headers, "").await;
        let seen = rig.fake.seen();
        let call = seen.last().unwrap();
        let head = &call.http.as_ref().unwrap().head;
        let names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-other"], "trusted: {trusts}");
        // Where claims count, the identity says so.
        assert_eq!(call.identity.user_id.is_some(), trusts);
    }
}

#[tokio::test]
async fn a_stream_at_a_route_has_envelopes_as_everywhere() {
    let mut rig = Rig::new();
    let response = rig.edge.handle(request("GET /r/items", "", "")).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let open = rig.opened().await;
    let item = crate::edge::fake::item("{\"n\":1}");
    open.answers.send(item).await.unwrap();
    drop(open);
    let got = whole(response).await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["has_more"], true, "the acknowledgement");
    assert_eq!(lines[1]["result"], json!({"n": 1}));
}
