//! What load balancers and supervisors ask.

use http::{Response, StatusCode};

use super::response::{self, Body};
use crate::health::Health;

/// The process answers, and can do its work.
pub(super) fn live(health: &Health) -> Response<Body> {
    if health.has_failed() {
        let text = r#"{"status":"failed"}"#.to_owned();
        return response::json(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    response::json(StatusCode::OK, r#"{"status":"live"}"#.to_owned())
}

/// Whether to send requests here.
pub(super) fn ready(health: &Health) -> Response<Body> {
    let (status, text) = match (health.is_ready(), health.is_draining()) {
        _ if health.has_failed() => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
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
        body["degraded"] = health.is_degraded().into();
    }
    response::json(status, body.to_string())
}
