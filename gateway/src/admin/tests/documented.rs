//! What the document says of bodies and errors is what handlers do.

use std::collections::BTreeSet;

use super::*;

async fn document(router: &Router) -> Value {
    ask(router, &Method::GET, "/v1/openapi.json", Some(ALL))
        .await
        .1
}

#[tokio::test]
async fn a_handler_that_wants_a_body_has_it_in_the_document() {
    let router = desk(false);
    let document = document(&router).await;
    for route in routes::all() {
        let path = filled(route.path).replace("/1", "/-1");
        let (status, answer) = tell(&router, route.method.clone(), &path, "{}").await;
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let name = format!("{} {}", route.method, route.path);
        let text = answer["error"].as_str().unwrap_or_default();
        // What a GET refuses stands in its query.
        let about_body =
            route.method != Method::GET && status == 400 && !text.contains("query string");
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let wants_one = body["required"].as_array().is_some_and(|r| !r.is_empty());
        if about_body {
            assert!(!route.body.is_empty(), "{name}: {answer}");
        }
        if wants_one {
            assert!(about_body, "{name} takes an empty body: {status} {answer}");
        }
        let told = operation["responses"][status.to_string()].is_object();
        assert!(told, "{name} answers {status}, which is not documented");
    }
}

#[tokio::test]
async fn a_limit_has_the_fields_of_the_document() {
    let router = desk(false);
    let document = document(&router).await;
    let operation = &document["paths"]["/v1/limits/{name}"]["put"];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let full = serde_json::json!({
        "name": "l", "key": "user_id", "max_requests": 5, "window_ms": 1000, "service": "s",
        "function": "f", "cost": 2, "shadow": true, "named_only": false,
    });
    let put =
        async |body: &Value| tell(&router, Method::PUT, "/v1/limits/l", &body.to_string()).await;
    let (status, told) = put(&full).await;
    assert_eq!((status, &told), (200, &full));
    let documented = schema["properties"].as_object().unwrap();
    assert_eq!(
        documented.keys().collect::<BTreeSet<_>>(),
        full.as_object().unwrap().keys().collect()
    );
    let mut unknown = full.clone();
    unknown["burst"] = 1.into();
    let (status, answer) = put(&unknown).await;
    let text = answer["error"].as_str().unwrap();
    assert_eq!(status, 400, "{answer}");
    // The refusal lists all that there are.
    for name in documented.keys() {
        assert!(text.contains(name.as_str()), "{name}: {text}");
    }
}

#[tokio::test]
async fn statuses_that_handlers_answer_are_documented() {
    let router = desk(false);
    let document = document(&router).await;
    let limit = r#"{"key":"user_id","max_requests":5,"window_ms":1000}"#;
    assert_eq!(
        tell(&router, Method::PUT, "/v1/limits/l", limit).await.0,
        200
    );
    for (method, path, template, status) in [
        ("POST", "/v1/limits/l/check", "/v1/limits/{name}/check", 422),
        ("GET", "/v1/limits/none", "/v1/limits/{name}", 404),
        ("PATCH", "/v1/log", "", 405),
        ("GET", "/metrics", "/metrics", 200),
    ] {
        let (got, answer) = tell(&router, method.parse().unwrap(), path, "").await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        if template.is_empty() {
            continue;
        }
        let operation = &document["paths"][template][method.to_lowercase()];
        let told = &operation["responses"][got.to_string()];
        assert!(told.is_object(), "{method} {template} {got}");
    }
}
