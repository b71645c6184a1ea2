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
use crate::sticky::memory::MemorySticky;
use crate::telemetry::Sources;
use crate::telemetry::levels::Levels;

const ALL: &str = "all-0123456789abcdef";
const NONE: &str = "none-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

fn desk(anonymous_read: bool) -> Router {
    router(parts(anonymous_read))
}

fn parts(anonymous_read: bool) -> Parts {
    let token = |name: &str, token: &str, allow: &[&str]| {
        let mut grants = Grants::default();
        allow.iter().for_each(|a| grants.add(a).unwrap());
        OperatorToken::new(name, token, grants)
    };
    let mut config = Config::default();
    config.admin.anonymous_read = anonymous_read;
    config.identity.max_revocations = 2;
    config.api_keys = ["k1", "k2", "k3"].map(api_key).into();
    config.admin.tokens = vec![
        token("all", ALL, &["*"]),
        token("none", NONE, &[]),
        token("read", READ, &["*:read"]),
    ];
    let config = Arc::new(config);
    let registry = Registry::taking_overrides();
    let health: Arc<Health> = Arc::default();
    let limiter = Arc::new(Limiter::in_memory(&config.limit, &config.limits));
    let clock = Clock::start();
    let breakers = Breakers::new(registry.clone(), clock, config.breaker.clone());
    let identifier = Arc::new(Identifier::new(&config));
    let telemetry = Arc::new(Telemetry::new(Sources {
        registry: registry.clone(),
        health: health.clone(),
        capacity: Arc::new(Capacity::new(&config)),
        limiter: limiter.clone(),
        breakers: breakers.clone(),
        identifier: identifier.clone(),
        tracing: None,
        access_log: false,
    }));
    let asked = crate::diagnostics::Parts {
        telemetry: telemetry.clone(),
        registry: registry.clone(),
        health: health.clone(),
        config: config.clone(),
        limiter: limiter.clone(),
        callbacks: Arc::default(),
        clock,
        http: config.http.listen,
        admin: config.admin.listen,
        tracer: Arc::default(),
        levels: Some(Levels::new("info", |_| Ok(()))),
    };
    let peers = crate::diagnostics::peers::Peers::none("g");
    Parts {
        telemetry,
        bulkheads: Bulkheads::new(registry.clone()),
        sticky: Arc::new(MemorySticky::new(config.dispatch.sticky_ttl, 100)),
        live: Arc::default(),
        usage: Arc::new(Usage::of_this_gateway(registry.clone())),
        steering: Arc::new(Steering::in_memory(registry.clone())),
        registry,
        health,
        limiter,
        identifier,
        config,
        diagnostics: Arc::new(Diagnostics::new(asked, peers)),
    }
}

fn api_key(id: &str) -> crate::config::ApiKey {
    let mut hash = [0; 32];
    hash[..id.len()].copy_from_slice(id.as_bytes());
    crate::config::ApiKey {
        id: id.to_owned(),
        hash,
        user_id: "robot".to_owned(),
        roles: Vec::new(),
        limits: Vec::new(),
    }
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

mod audited;
mod documented;

#[tokio::test]
async fn every_route_refuses_without_with_a_wrong_and_with_a_weak_token_and_notes_it() {
    let router = desk(false);
    let mut refused = 0;
    for route in routes::all() {
        let path = filled(route.path);
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
    let only = "/v1/audit?allowed=false&operator=read&limit=2&offset=1";
    let (_, part) = ask(&router, &Method::GET, only, Some(ALL)).await;
    let writes = routes::all().iter().filter(|r| r.action.write).count();
    assert_eq!(part["total"], writes, "{part}");
    assert_eq!(part["entries"].as_array().unwrap().len(), 2, "{part}");
    assert_eq!(part["next_offset"], 3, "{part}");
    assert!(!audit.to_string().contains("0123456789abcdef"));
}

#[tokio::test]
async fn the_scrape_takes_a_token_where_it_is_not_open() {
    let mut parts = parts(false);
    let mut config = (*parts.config).clone();
    config.admin.metrics_open = false;
    parts.config = Arc::new(config);
    let router = super::router(parts);
    let get = &Method::GET;
    for (token, status) in [(None, 401), (Some(NONE), 403), (Some(READ), 200)] {
        assert_eq!(ask(&router, get, "/metrics", token).await.0, status);
    }
    let (_, audit) = ask(&router, get, "/v1/audit", Some(READ)).await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    assert_eq!(entries[0]["action"], "metrics:read", "{audit}");
    assert_eq!(ask(&desk(false), get, "/metrics", None).await.0, 200);
}

/// A path of the table with something in each place.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{id}" => "1".to_owned(),
        part => part.trim_matches(['{', '}']).to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_openapi_document_has_every_route_with_its_action_parameters_and_errors() {
    let router = desk(false);
    let get = &Method::GET;
    let (status, document) = ask(&router, get, "/v1/openapi.json", Some(READ)).await;
    assert_eq!(
        (status, &document["openapi"]),
        (StatusCode::OK, &"3.1.0".into())
    );
    let mut ids = std::collections::HashSet::new();
    for route in routes::all() {
        let (path, method) = (route.path, route.method.as_str().to_lowercase());
        let operation = &document["paths"][path][&method];
        let action = operation["x-sluice-action"].as_str();
        assert_eq!(action, Some(route.action.to_string().as_str()), "{path}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{path}");
        assert!(ids.insert(operation["operationId"].to_string()), "{path}");
        for status in ["200", "401", "403"] {
            assert!(
                operation["responses"][status].is_object(),
                "{path} {status}"
            );
        }
        let parameters = operation["parameters"].as_array().unwrap();
        let in_path = parameters.iter().filter(|p| p["in"] == "path");
        assert_eq!(in_path.count(), path.matches('{').count(), "{path}");
        let in_query = parameters.iter().filter(|p| p["in"] == "query");
        assert_eq!(in_query.count(), route.query.len(), "{path}");
        let has_body = operation["requestBody"].is_object();
        assert_eq!(has_body, !route.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn each_query_parameter_of_the_document_is_taken() {
    // A parameter that a handler does not know is ignored by it; one that it cannot read is not.
    let router = desk(false);
    for route in routes::all() {
        for name in route.query {
            let (name, wrong) = match name.trim_end_matches('!') {
                name @ ("limit" | "offset" | "after" | "live" | "drained" | "allowed" | "state"
                | "seconds" | "form" | "address") => (name, "wrong"),
                _ => continue,
            };
            let path = format!("{}?{name}={wrong}", filled(route.path));
            let (status, body) = ask(&router, &route.method, &path, Some(ALL)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert_eq!(body["error_code"], "invalid_request", "{path} {body}");
        }
    }
}

/// The names of the fields that a type reads, as it tells its deserializer.
fn fields_of<'de, T: serde::Deserialize<'de>>() -> &'static [&'static str] {
    use serde::de::value::Error;
    use serde::de::{Deserializer, Error as _, Visitor};
    struct Ask<'f>(&'f mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("no struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(Error::custom("that was all"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut fields: &[&str] = &[];
    let _ = T::deserialize(Ask(&mut fields));
    assert!(!fields.is_empty(), "{}", std::any::type_name::<T>());
    fields
}

#[test]
fn handlers_read_the_query_parameters_that_the_document_has() {
    use diagnostics::{Export, From, Trace, Version};
    use page::Page;
    let one = |fields: &[&'static str]| fields.to_vec();
    let with_page = |fields: &[&'static str]| [fields, fields_of::<Page>()].concat();
    let which = || one(fields_of::<versions::Which>());
    let read: Vec<(&str, Vec<&str>)> = vec![
        ("/v1/trace", one(fields_of::<Trace>())),
        ("/v1/export", one(fields_of::<Export>())),
        ("/v1/explain", one(fields_of::<From>())),
        ("/v1/flow/{service}/{function}", one(fields_of::<Version>())),
        ("/v1/versions", with_page(fields_of::<versions::Filter>())),
        ("/v1/instances", with_page(fields_of::<instances::Filter>())),
        ("/v1/overrides", with_page(fields_of::<pins::Filter>())),
        ("/v1/audit", with_page(fields_of::<services::Audited>())),
        ("/v1/breakers/reset", one(fields_of::<guards::Which>())),
        ("/v1/functions/{service}/{function}", which()),
        ("/v1/functions/{service}/{function}/restore", which()),
        ("/v1/functions/{service}/{function}/deprecation", which()),
    ];
    for (path, mut expected) in read {
        expected.sort_unstable();
        let routes: Vec<_> = routes::all()
            .into_iter()
            .filter(|r| r.path == path)
            .collect();
        assert!(!routes.is_empty(), "{path}");
        for route in routes {
            let mut told: Vec<&str> = route
                .query
                .iter()
                .map(|name| name.trim_end_matches('!'))
                .collect();
            told.sort_unstable();
            assert_eq!(told, expected, "{} {path}", route.method);
        }
    }
}

#[tokio::test]
async fn explain_reads_the_body_that_the_document_has() {
    let router = desk(false);
    let explain =
        async |body: &Value| tell(&router, Method::POST, "/v1/explain", &body.to_string()).await;
    let (_, document) = ask(&router, &Method::GET, "/v1/openapi.json", Some(READ)).await;
    let operation = &document["paths"]["/v1/explain"]["post"];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let good = serde_json::json!({
        "service": "s", "request_type": "f", "version": "1", "args": {}, "request_id": "r",
        "user_id": "u", "device_id": "d", "user_roles": ["a"], "idempotency_key": "k",
        "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "timeout_ms": 100,
    });
    assert_eq!(explain(&good).await.0, 200);
    let known = schema["properties"].as_object().unwrap();
    assert_eq!(
        known.keys().collect::<std::collections::BTreeSet<_>>(),
        good.as_object().unwrap().keys().collect()
    );
    // What a request reads may not stand there twice; what nobody reads may.
    for name in known.keys().map(String::as_str).chain(["unread"]) {
        let again = format!(
            "{{\"{name}\":{0},\"{name}\":{0},",
            good.get(name).unwrap_or(&Value::Null)
        );
        let text = good.to_string().replacen('{', &again, 1);
        let read = sluice_protocol::request::Request::from_json(&text.into());
        assert_eq!(read.is_err(), name != "unread", "{name}");
    }
    for name in schema["required"].as_array().unwrap() {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name.as_str().unwrap());
        assert_eq!(explain(&bad).await.0, 400, "{name}");
    }
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
async fn what_is_no_route_says_so_in_the_form_of_all_errors() {
    let router = desk(false);
    for (method, path, status) in [
        (Method::GET, "/", StatusCode::NOT_FOUND),
        (Method::GET, "/v1/nothing", StatusCode::NOT_FOUND),
        (
            Method::PATCH,
            "/v1/services",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
    ] {
        let (got, body) = ask(&router, &method, path, Some(ALL)).await;
        assert_eq!(got, status, "{path}");
        assert!(body["error_code"].is_string(), "{path} {body}");
    }
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
    let read = &body["config"]["admin"]["anonymous_read"];
    assert_eq!(*read, serde_json::json!({"value": false, "default": true}));
    let tokens = &body["config"]["admin"]["tokens"];
    assert_eq!(tokens["value"]["all"]["token"], "***");
    assert_eq!(tokens["value"]["all"]["allow"], serde_json::json!(["*"]));
    assert_eq!(tokens["value"]["none"]["allow"], serde_json::json!([]));
    assert!(!body.to_string().contains("0123456789abcdef"));
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
    let send_as = async |method: Method, body: &str| {
        let request = Request::builder().method(method);
        let request = request.uri("/v1/revocations");
        let request = request.header("authorization", format!("Bearer {ALL}"));
        send(&router, request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let revoke = async |body: &str| send_as(Method::POST, body).await;
    let (status, body) = revoke(r#"{"api_key": "k1"}"#).await;
    assert_eq!((status, &body["api_key"]), (StatusCode::OK, &"k1".into()));
    assert_eq!(revoke(r#"{"role": "k1"}"#).await.0, StatusCode::BAD_REQUEST);
    let (_, list) = ask(&router, &Method::GET, "/v1/revocations", Some(READ)).await;
    assert_eq!(list["revocations"], serde_json::json!([body]));
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(READ)).await;
    assert_eq!(audit["entries"][0]["target"], "api_key k1", "{audit}");
    for was_revoked in [true, false] {
        let (status, body) = send_as(Method::DELETE, r#"{"api_key": "k1"}"#).await;
        let told = serde_json::json!({"api_key": "k1", "was_revoked": was_revoked});
        assert_eq!((status, body), (StatusCode::OK, told));
    }
    let (_, list) = ask(&router, &Method::GET, "/v1/revocations", Some(READ)).await;
    assert_eq!(list["revocations"], serde_json::json!([]));
}

#[tokio::test]
async fn what_is_not_revoked_is_not_said_to_be() {
    let router = desk(false);
    let revoke = async |body: &str| tell(&router, Method::POST, "/v1/revocations", body).await;
    let (status, body) = revoke(r#"{"api_key": "unknown"}"#).await;
    assert_eq!(
        (status, &body["error_code"]),
        (404, &"invalid_request".into())
    );
    for key in ["k1", "k2"] {
        assert_eq!(revoke(&format!(r#"{{"api_key": "{key}"}}"#)).await.0, 200);
    }
    let (status, body) = revoke(r#"{"api_key": "k3"}"#).await;
    assert_eq!((status, &body["error_code"]), (507, &"overloaded".into()));
    let text = body["error"].as_str().unwrap();
    assert!(
        text.contains("k3") && text.contains("max_revocations"),
        "{text}"
    );
    let (_, list) = ask(&router, &Method::GET, "/v1/revocations", Some(READ)).await;
    assert_eq!(list["revocations"].as_array().unwrap().len(), 2, "{list}");
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(READ)).await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 2, "{audit}");
    let (_, document) = ask(&router, &Method::GET, "/v1/openapi.json", Some(READ)).await;
    let responses = &document["paths"]["/v1/revocations"]["post"]["responses"];
    assert!(responses["507"].is_object(), "{responses}");
}

async fn tell(router: &Router, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {ALL}"));
    let (status, body) = send(router, request.body(Body::from(body.to_owned())).unwrap()).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn what_is_decided_is_listed_and_noted_with_what_was_there_before() {
    let router = desk(false);
    let off = "/v1/functions/s/f/disabled?version=1.0.0";
    let (status, body) = tell(&router, Method::PUT, off, r#"{"disabled":true}"#).await;
    assert_eq!((status, &body["known"]), (200, &false.into()), "{body}");
    let at = "/v1/functions/s/f/deprecation?version=1.0.0";
    for (at_first, status) in [(r#"{"at":5}"#, 200), (r#"{"at":6,"sunset":7}"#, 200)] {
        assert_eq!(tell(&router, Method::PUT, at, at_first).await.0, status);
    }
    let pin = r#"{"user":"ann","service":"s","version":"^1"}"#;
    assert_eq!(tell(&router, Method::PUT, "/v1/pins", pin).await.0, 200);
    let latest = "/v1/functions/s/f/latest";
    assert_eq!(
        tell(&router, Method::PUT, latest, r#"{"version":"1"}"#)
            .await
            .0,
        200
    );
    let deleted = "/v1/functions/s/f?version=2";
    assert_eq!(tell(&router, Method::DELETE, deleted, "").await.0, 200);
    let (_, all) = ask(&router, &Method::GET, "/v1/overrides", Some(READ)).await;
    assert_eq!(all["total"], 5, "{all}");
    let (_, pins) = ask(&router, &Method::GET, "/v1/pins?service=s", Some(READ)).await;
    assert_eq!(pins["overrides"][0]["client"]["user"], "ann", "{pins}");
    let (_, versions) = ask(&router, &Method::GET, "/v1/versions", Some(READ)).await;
    assert_eq!(versions["versions"][0]["state"], "deleted", "{versions}");
    let (_, audit) = ask(&router, &Method::GET, "/v1/audit", Some(READ)).await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 6, "{audit}");
    assert_eq!(entries[3]["before"]["deprecation"]["at"], 5, "{audit}");
    assert_eq!(entries[3]["after"]["deprecation"]["sunset"], 7, "{audit}");
    assert_eq!(entries[3]["target"], "deprecated s.f 1.0.0", "{audit}");
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused_and_change_nothing() {
    let router = desk(false);
    let long = format!("/v1/functions/s/{}/disabled", "f".repeat(129));
    for (method, path, body, status) in [
        (Method::PUT, "/v1/functions/s/f/disabled", "{}", 400),
        (
            Method::PUT,
            "/v1/functions/s/f/disabled",
            r#"{"disabled":1}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/functions/s/f/disabled",
            r#"{"disabled":true,"x":1}"#,
            400,
        ),
        (Method::PUT, long.as_str(), r#"{"disabled":true}"#, 400),
        (
            Method::PUT,
            "/v1/functions/s/f/disabled?version=%00",
            r#"{"disabled":true}"#,
            400,
        ),
        (Method::POST, "/v1/functions/s/f/restore", "", 404),
        (
            Method::PUT,
            "/v1/functions/s/f/latest",
            r#"{"version":""}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/functions/s/f/deprecation",
            r#"{"at":5,"sunset":4}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/functions/s/f/deprecation",
            r#"{"at":5,"link":"x"}"#,
            400,
        ),
        (Method::DELETE, "/v1/functions/s/f/deprecation", "", 404),
        (
            Method::PUT,
            "/v1/pins",
            r#"{"service":"s","version":"1"}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/pins",
            r#"{"user":"a","api_key":"b","service":"s","version":"1"}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/pins",
            r#"{"user":"","service":"s","version":"1"}"#,
            400,
        ),
        (
            Method::PUT,
            "/v1/pins",
            r#"{"user":"a","service":"s"}"#,
            400,
        ),
        (Method::DELETE, "/v1/pins?user=a&service=s", "", 404),
        (Method::DELETE, "/v1/pins?user=a", "", 400),
        (
            Method::PUT,
            "/v1/instances/s/i/drained",
            r#"{"drained":true}"#,
            404,
        ),
        (Method::GET, "/v1/functions/s/f/callers", "", 404),
        (Method::GET, "/v1/functions/s/f/sticky", "", 400),
        (Method::GET, "/v1/functions/s/f/sticky?key=null", "", 400),
        (Method::POST, "/v1/breakers/reset?service=s", "", 400),
        (
            Method::POST,
            "/v1/breakers/reset?service=s&instance=i&function=f",
            "",
            400,
        ),
        (
            Method::POST,
            "/v1/breakers/reset?service=s&instance=i",
            "",
            404,
        ),
        (Method::DELETE, "/v1/sockets/x", "", 400),
        (Method::DELETE, "/v1/sockets/7", "", 400),
        (Method::DELETE, "/v1/sockets/-7", "", 404),
        (Method::DELETE, "/v1/sockets/g2-7", "", 404),
        (Method::DELETE, "/v1/streams/-7?reason=%0A", "", 400),
    ] {
        let (got, answer) = tell(&router, method.clone(), path, body).await;
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(answer["error_code"].is_string(), "{path} {body}: {answer}");
    }
    let (_, all) = ask(&router, &Method::GET, "/v1/overrides", Some(READ)).await;
    assert_eq!(all["total"], 0, "{all}");
}

#[tokio::test]
async fn sticky_keys_are_looked_at_as_dispatch_writes_them() {
    use sluice_protocol::{InstanceId, Payload};
    // What stands in the store under the name that dispatch gives it.
    let sticky = Arc::new(MemorySticky::new(std::time::Duration::from_secs(60), 10));
    let mut parts = parts(false);
    parts.sticky = sticky.clone();
    let router = super::router(parts);
    let args = Payload::json(r#"{"k":"a b"}"#);
    let key = hex::encode(crate::dispatch::select::key_of(&args, "k").unwrap());
    let instance = InstanceId::new("w1").unwrap();
    let bound = crate::sticky::StickyStore::assign(&*sticky, "s.f@1", &key, None, &instance);
    bound.await.unwrap();
    let path = "/v1/functions/s/f/sticky?version=1&key=a%20b";
    let (_, told) = tell(&router, Method::GET, path, "").await;
    assert_eq!(told["instance"], "w1", "{told}");
    let (_, told) = tell(&router, Method::DELETE, path, "").await;
    assert_eq!(told["forgotten"], true, "{told}");
    let (_, told) = tell(&router, Method::GET, path, "").await;
    assert_eq!(told["instance"], Value::Null, "{told}");
}
