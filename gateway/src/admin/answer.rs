//! Answers of the admin API: JSON, errors in one form.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sluice_protocol::ErrorCode;

/// A body of JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `{"error_code": …, "error": …}`, as the envelope of calls names them.
pub(super) fn error(status: StatusCode, code: ErrorCode, text: &str) -> Response {
    let body = serde_json::json!({"error_code": code.as_str(), "error": text});
    json(status, &body)
}
