//! The operator's port.

pub mod limits;
pub mod listing;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::registry::Registry;

#[derive(Clone)]
struct Parts {
    registry: Arc<Registry>,
    health: Arc<Health>,
}

/// The routes of the operator's port.
pub fn router(registry: Arc<Registry>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/v1/services", get(services))
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(ready))
        .with_state(Parts { registry, health })
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port ended");
    }
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [("content-type", "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn services(State(parts): State<Parts>) -> Response {
    match parts.registry.services().await {
        Ok(status) => json(StatusCode::OK, &listing::Listing::from(status)),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn ready(State(parts): State<Parts>) -> Response {
    let health = &parts.health;
    let status = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(
        status,
        &serde_json::json!({
            "ready": health.is_ready(),
            "draining": health.is_draining(),
            "broker_connected": health.broker_connected(),
            "redis_available": health.redis_available(),
        }),
    )
}
