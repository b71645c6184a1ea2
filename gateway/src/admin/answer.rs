//! Answers of the admin API: JSON, errors in one form.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sluice_protocol::ErrorCode;

/// Most of a refusal's text.
const MAX_TEXT_BYTES: usize = 4096;

/// A body of JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Nothing is there.
pub(super) fn unknown(text: &str) -> Response {
    error(StatusCode::NOT_FOUND, ErrorCode::InvalidRequest, text)
}

/// Refusals of the framework, of a path or query that cannot be read, in the form of all others.
pub(super) async fn in_our_form(response: Response) -> Response {
    let status = response.status();
    let is_json = |value: &axum::http::HeaderValue| value == "application/json";
    if !status.is_client_error() || response.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), MAX_TEXT_BYTES).await;
    let text = text.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    error(status, ErrorCode::InvalidRequest, text.trim())
}

/// `{"error_code": …, "error": …}`, as the envelope of calls names them.
pub(super) fn error(status: StatusCode, code: ErrorCode, text: &str) -> Response {
    let body = serde_json::json!({"error_code": code.as_str(), "error": text});
    json(status, &body)
}
