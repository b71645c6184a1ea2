//! Limits on the operator's port: [`router`] shows them, [`changing`] changes them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde_json::{Value, json};

use super::json;
use crate::limiter::{Fault, Limit, Limiter, OperateError};

/// `GET /v1/limits`, and `GET /v1/limits/{name}?value=…`, one value for each part of the key.
pub fn router(limiter: Arc<Limiter>) -> Router {
    Router::new()
        .route("/v1/limits", get(list))
        .route("/v1/limits/{name}", get(status))
        .with_state(limiter)
}

/// What changes limits on all gateways. Only for operators who have proved who they are: mount it
/// behind a check of that.
///
/// `POST /v1/limits` adds, `PUT /v1/limits/{name}` updates, `DELETE /v1/limits/{name}` removes, and
/// `POST /v1/limits/{name}/reset?value=…` forgets what a key has used, or all keys have.
pub fn changing(limiter: Arc<Limiter>) -> Router {
    Router::new()
        .route("/v1/limits", post(add))
        .route("/v1/limits/{name}", put(update).delete(remove))
        .route("/v1/limits/{name}/reset", post(reset))
        .with_state(limiter)
}

async fn add(State(limiter): State<Arc<Limiter>>, body: Bytes) -> Response {
    match read(&body, None) {
        Ok(limit) => done(StatusCode::CREATED, limiter.add(limit).await),
        Err(response) => *response,
    }
}

async fn update(
    State(limiter): State<Arc<Limiter>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    match read(&body, Some(&name)) {
        Ok(limit) => done(StatusCode::OK, limiter.update(limit).await),
        Err(response) => *response,
    }
}

async fn remove(State(limiter): State<Arc<Limiter>>, Path(name): Path<String>) -> Response {
    done(StatusCode::OK, limiter.remove(&name).await)
}

async fn reset(
    State(limiter): State<Arc<Limiter>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let values = values(query.as_deref());
    done(StatusCode::OK, limiter.reset(&name, &values).await)
}

/// A limit from a body; its name may stand in the path instead, and must not contradict it.
fn read(body: &Bytes, name: Option<&str>) -> Result<Limit, Box<Response>> {
    let fault = |field: &str, message: String| {
        let field = field.to_owned();
        unreadable(&[Fault { field, message }])
    };
    let mut value: Value =
        serde_json::from_slice(body).map_err(|e| fault("", format!("not valid JSON: {e}")))?;
    if let (Some(name), Some(object)) = (name, value.as_object_mut()) {
        let written = object.entry("name").or_insert_with(|| name.into());
        if written.as_str() != Some(name) {
            let message = format!("is {written}, and the path names {name:?}");
            return Err(fault("name", message));
        }
    }
    Limit::from_json(&value).map_err(|faults| unreadable(&faults))
}

fn unreadable(faults: &[Fault]) -> Box<Response> {
    let body = json!({ "error": "the limit is not valid", "faults": faults });
    Box::new(json(StatusCode::UNPROCESSABLE_ENTITY, &body))
}

fn done(status: StatusCode, outcome: Result<(), OperateError>) -> Response {
    match outcome {
        Ok(()) => json(status, &json!({ "done": true })),
        Err(error) => refuse(&error),
    }
}

async fn list(State(limiter): State<Arc<Limiter>>) -> Response {
    json(StatusCode::OK, &json!({ "limits": limiter.list() }))
}

async fn status(
    State(limiter): State<Arc<Limiter>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match limiter.status(&name, &values(query.as_deref())).await {
        Ok(status) => json(StatusCode::OK, &status),
        Err(error) => refuse(&error),
    }
}

/// All `value=…` of a query, in order.
fn values(query: Option<&str>) -> Vec<String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = query.unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.strip_prefix("value="))
        .map(decode)
        .collect()
}

/// Why an operator's wish was not done.
fn refuse(error: &OperateError) -> Response {
    let status = match error {
        OperateError::Unknown(_) => StatusCode::NOT_FOUND,
        OperateError::Exists(_) | OperateError::Busy(_) => StatusCode::CONFLICT,
        OperateError::Values(_) | OperateError::Full => StatusCode::UNPROCESSABLE_ENTITY,
        OperateError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &json!({ "error": error.to_string() }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::LimitOptions;

    #[test]
    fn values_are_read_in_order() {
        assert_eq!(values(Some("value=a%26b&x=1&value=c+d")), ["a&b", "c d"]);
        assert!(values(None).is_empty());
    }

    /// Asks both routers as one.
    async fn ask(router: &Router, what: &str, body: Value) -> (u16, Value) {
        let (method, path) = what.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn limits_are_added_shown_changed_reset_and_removed() {
        let limiter = Arc::new(Limiter::in_memory(&[], &LimitOptions::default()));
        let router = router(limiter.clone()).merge(changing(limiter.clone()));
        let limit = json!({"name": "a", "key": "user_id", "max_requests": 2, "window_ms": 60_000});
        let smaller = json!({"key": "user_id", "max_requests": 1, "window_ms": 60_000});
        let u = ["u".to_owned()];
        assert_eq!(ask(&router, "POST /v1/limits", limit.clone()).await.0, 201);
        assert_eq!(ask(&router, "POST /v1/limits", limit).await.0, 409);
        limiter.check("a", &u).await.unwrap().unwrap();
        assert_eq!(
            ask(&router, "PUT /v1/limits/a", smaller.clone()).await.0,
            200
        );
        let (status, shown) = ask(&router, "GET /v1/limits/a?value=u", Value::Null).await;
        assert_eq!((status, &shown["key"]["remaining"]), (200, &json!(0)));
        let reset = "POST /v1/limits/a/reset?value=u";
        assert_eq!(ask(&router, reset, Value::Null).await.0, 200);
        let (_, shown) = ask(&router, "GET /v1/limits/a?value=u", Value::Null).await;
        assert_eq!(shown["key"]["current_requests"], 0);
        assert_eq!(
            ask(&router, "DELETE /v1/limits/a", Value::Null).await.0,
            200
        );
        let (_, list) = ask(&router, "GET /v1/limits", Value::Null).await;
        assert_eq!(list["limits"], json!([]));
        assert_eq!(
            ask(&router, "DELETE /v1/limits/a", Value::Null).await.0,
            404
        );
        assert_eq!(
            ask(&router, "PUT /v1/limits/a", smaller.clone()).await.0,
            404
        );
        // Faults are named.
        let (status, faults) = ask(&router, "POST /v1/limits", smaller).await;
        assert_eq!(
            (status, &faults["faults"][0]["field"]),
            (422, &json!("name"))
        );
        let other = json!({"name": "b"});
        let (status, faults) = ask(&router, "PUT /v1/limits/a", other).await;
        assert_eq!(
            (status, &faults["faults"][0]["field"]),
            (422, &json!("name"))
        );
    }
}
