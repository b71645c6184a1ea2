//! The operator's port: health for everybody, all else by token.

pub mod access;
pub mod action;
mod answer;
mod audit;
mod diagnostics;
mod limits;
pub mod listing;
mod revocations;
mod routes;
mod services;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::access::{Access, Guard, guard};
use self::audit::Audit;
use crate::config::Config;
use crate::diagnostics::Diagnostics;
use crate::health::Health;
use crate::identity::Identifier;
use crate::limiter::Limiter;
use crate::registry::Registry;

/// What the routes look at and change.
#[derive(Clone)]
pub struct Parts {
    /// Services, functions, instances.
    pub registry: Arc<Registry>,
    /// Alive, ready, draining.
    pub health: Arc<Health>,
    /// As it runs.
    pub config: Arc<Config>,
    /// Rate limits.
    pub limiter: Arc<Limiter>,
    /// Who is let in.
    pub identifier: Arc<Identifier>,
    /// Questions to this gateway and the others.
    pub diagnostics: Arc<Diagnostics>,
}

/// What a handler works with.
#[derive(Clone)]
struct Desk {
    parts: Parts,
    audit: Arc<Audit>,
}

/// The routes of the operator's port: those of the table, each behind its guard, and health.
pub fn router(parts: Parts) -> Router {
    let options = &parts.config.admin;
    let access = Arc::new(Access::new(options.tokens.clone(), options.anonymous_read));
    let audit = Arc::new(Audit::default());
    let mut router = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready));
    for route in routes::all() {
        let state = Guard {
            access: access.clone(),
            audit: audit.clone(),
            action: route.action,
        };
        let layer = axum::middleware::from_fn_with_state(state, guard);
        router = router.route(route.path, route.handler.route_layer(layer));
    }
    router.with_state(Desk { parts, audit })
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port ended");
    }
}

async fn live(State(desk): State<Desk>) -> (StatusCode, &'static str) {
    match desk.parts.health.has_failed() {
        true => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        false => (StatusCode::OK, "ok"),
    }
}

async fn ready(State(desk): State<Desk>) -> Response {
    let health = &desk.parts.health;
    let status = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer::json(
        status,
        &serde_json::json!({
            "ready": health.is_ready(),
            "draining": health.is_draining(),
            "broker_connected": health.broker_connected(),
            "redis_available": health.redis_available(),
        }),
    )
}
