//! What load balancers and supervisors ask.

use http::{Response, StatusCode};

use super::response::{self, Body};
use crate::health::Health;

/// The process answers.
pub(super) fn live() -> Response<Body> {
    response::json(StatusCode::OK, r#"{"status":"live"}"#.to_owned())
}

/// Whether to send requests here.
pub(super) fn ready(health: &Health) -> Response<Body> {
    let (status, text) = match (health.is_ready(), health.is_draining()) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    let mut body = serde_json::json!({
        "status": text,
        "broker_connected": health.broker_connected(),
        "draining": health.is_draining(),
    });
    // Without Redis there is nothing to tell of it.
    if let Some(available) = health.redis_available() {
        body["redis_available"] = available.into();
    }
    response::json(status, body.to_string())
}
