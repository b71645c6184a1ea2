use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::access::OperatorToken;
use super::action::Grants;
use super::*;
use crate::dispatch::Clock;
use crate::dispatch::guards::Breakers;
use crate::edge::capacity::Capacity;
use crate::telemetry::Sources;

const ALL: &str = "all-0123456789abcdef";
const NONE: &str = "none-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

fn desk(anonymous_read: bool) -> Router {
    let token = |name: &str, token: &str, allow: &[&str]| {
        let mut grants = Grants::default();
        allow.iter().for_each(|a| grants.add(a).unwrap());
        OperatorToken::new(name, token, grants)
    };
    let mut config = Config::default();
    config.admin.anonymous_read = anonymous_read;
    config.admin.tokens = vec![
        token("all", ALL, &["*"]),
        token("none", NONE, &[]),
        token("read", READ, &["*:read"]),
    ];
    let registry = Arc::new(Registry::default());
    let health: Arc<Health> = Arc::default();
    let limiter = Arc::new(Limiter::in_memory(&config.limit, &config.limits));
    let telemetry = Arc::new(Telemetry::new(Sources {
        registry: registry.clone(),
        health: health.clone(),
        capacity: Arc::new(Capacity::new(&config)),
        limiter: limiter.clone(),
        tracing: None,
        access_log: false,
        breakers: Breakers::new(registry.clone(), Clock::start(), config.breaker.clone()),
    }));
    router(Parts {
        telemetry,
        registry,
        health,
        limiter,
        identifier: Arc::new(Identifier::new(&config)),
        config: Arc::new(config),
    })
}

async fn ask(
    router: &Router,
    method: &Method,
    path: &str,
    token: Option<&str>,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(
        router,
        request.body(Body::from("{\"disabled\":true}")).unwrap(),
    )
    .await
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

use axum::http::Method;

#[tokio::test]
async fn every_route_refuses_without_with_a_wrong_and_with_a_weak_token_and_notes_it() {
    let router = desk(false);
    let mut refused = 0;
    for route in routes::all() {
        let path = route
            .path
            .replace("{service}", "s")
            .replace("{function}", "f")
            .replace("{name}", "n");
        for (token, status) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("wrong-0123456789abcdef"), StatusCode::UNAUTHORIZED),
            (Some(""), StatusCode::UNAUTHORIZED),
            (Some(NONE), StatusCode::FORBIDDEN),
        ] {
            let (got, body) = ask(&router, &route.method, &path, token).await;
            assert_eq!(got, status, "{} {path} {token:?}: {body}", route.method);
            refused += 1;
        }
        let (got, _) = ask(&router, &route.method, &path, Some(READ)).await;
        assert_eq!(got == StatusCode::FORBIDDEN, route.action.write, "{path}");
        refused += usize::from(route.action.write);
        let (got, _) = ask(&router, &route.method, &path, Some(ALL)).await;
        assert_ne!(got, StatusCode::FORBIDDEN, "{path}");
        assert_ne!(got, StatusCode::UNAUTHORIZED, "{path}");
    }
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(ALL)).await;
    let entries = audit["entries"].as_array().unwrap();
    let noted = entries.iter().filter(|e| e["allowed"] == false).count();
    assert_eq!(noted, refused);
    assert!(!audit.to_string().contains("0123456789abcdef"));
}

#[tokio::test]
async fn anonymous_reads_are_for_development_and_a_wrong_token_is_refused_there_too() {
    let router = desk(true);
    let get = &Method::GET;
    assert_eq!(ask(&router, get, "/v1/audit", None).await.0, StatusCode::OK);
    let wrong = ask(&router, get, "/v1/audit", Some("wrong-0123456789abcdef")).await;
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    let write = ask(&router, &Method::DELETE, "/v1/refused", None).await;
    assert_eq!(write.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_needs_no_token() {
    let router = desk(false);
    let (status, _) = ask(&router, &Method::GET, "/health/live", None).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn the_config_is_shown_with_its_secrets_masked() {
    let (_, body) = ask(&desk(false), &Method::GET, "/v1/config", Some(READ)).await;
    let text = body["config"].as_str().unwrap();
    assert!(text.contains("admin"), "{text}");
    assert!(!text.contains("0123456789abcdef"));
}

#[tokio::test]
async fn limits_are_added_changed_reset_and_removed_and_each_change_is_noted() {
    let router = desk(false);
    let change = async |method: Method, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {ALL}"));
        send(&router, request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let limit = r#"{"key": "user_id", "max_requests": 5, "window_ms": 1000}"#;
    let (status, body) = change(Method::PUT, "/v1/limits/five", limit).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let more = r#"{"name": "five", "key": "user_id", "max_requests": 6, "window_ms": 1000}"#;
    assert_eq!(change(Method::PUT, "/v1/limits/five", more).await.0, 200);
    let (_, body) = ask(&router, &Method::GET, "/v1/limits/five?value=u", Some(READ)).await;
    assert_eq!(body["limit"]["max_requests"], 6, "{body}");
    assert_eq!(body["key"]["remaining"], 6, "{body}");
    for (path, wrong) in [
        ("/v1/limits/five", "{"),
        (
            "/v1/limits/five",
            r#"{"key": "user_id", "max_requests": -1, "window_ms": 0}"#,
        ),
        ("/v1/limits/six", more),
    ] {
        let (status, body) = change(Method::PUT, path, wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let reset = change(Method::POST, "/v1/limits/five/reset?value=u", "").await;
    assert_eq!(reset.0, 200);
    assert_eq!(change(Method::DELETE, "/v1/limits/five", "").await.0, 200);
    assert_eq!(change(Method::DELETE, "/v1/limits/five", "").await.0, 404);
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(ALL)).await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4, "{audit}");
    assert_eq!(entries[2]["before"]["limit"]["max_requests"], 5, "{audit}");
    assert_eq!(entries[2]["after"]["max_requests"], 6, "{audit}");
}

#[tokio::test]
async fn revocations_are_made_listed_and_noted() {
    let router = desk(false);
    let revoke = async |body: &str| {
        let request = Request::builder().method(Method::POST);
        let request = request.uri("/v1/revocations");
        let request = request.header("authorization", format!("Bearer {ALL}"));
        send(&router, request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let (status, body) = revoke(r#"{"api_key": "k1"}"#).await;
    assert_eq!((status, &body["api_key"]), (StatusCode::OK, &"k1".into()));
    assert_eq!(revoke(r#"{"role": "k1"}"#).await.0, StatusCode::BAD_REQUEST);
    let (_, list) = ask(&router, &Method::GET, "/v1/revocations", Some(READ)).await;
    assert_eq!(list["revocations"], serde_json::json!([body]));
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(READ)).await;
    assert_eq!(audit["entries"][0]["target"], "api_key k1", "{audit}");
}
