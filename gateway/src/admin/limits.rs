//! Limits on the operator's port. It only shows them: changing them waits for operators that
//! prove who they are.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::json;
use crate::limiter::{Limiter, OperateError};

/// `GET /v1/limits`, and `GET /v1/limits/{name}?value=…`, one value for each part of the key.
pub fn router(limiter: Arc<Limiter>) -> Router {
    Router::new()
        .route("/v1/limits", get(list))
        .route("/v1/limits/{name}", get(status))
        .with_state(limiter)
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
    (status, error.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_read_in_order() {
        assert_eq!(values(Some("value=a%26b&x=1&value=c+d")), ["a&b", "c d"]);
        assert!(values(None).is_empty());
    }
}
