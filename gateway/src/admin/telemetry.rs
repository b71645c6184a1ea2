//! Metrics and statistics.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::{Desk, answer};
use crate::telemetry;

/// `GET /metrics`
pub(super) async fn metrics(State(desk): State<Desk>) -> Response {
    match desk.parts.telemetry.scrape() {
        Ok(text) => ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /v1/stats`
pub(super) async fn stats(State(desk): State<Desk>) -> Response {
    answer::json(StatusCode::OK, &desk.parts.telemetry.stats())
}
