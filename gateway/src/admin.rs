//! The operator's port: health for everybody, all else by token.

pub mod access;
pub mod action;
mod answer;
mod audit;
mod diagnostics;
mod guards;
mod instances;
mod limits;
pub mod listing;
mod live;
mod log;
mod openapi;
mod page;
mod peers;
mod pins;
mod revocations;
mod routes;
mod services;
mod steer;
mod sticky;
mod telemetry;
#[cfg(test)]
mod tests;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use sluice_protocol::ErrorCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::access::{Access, Guard, guard};
use self::audit::Audit;
use crate::config::Config;
use crate::diagnostics::Diagnostics;
use crate::dispatch::guards::Bulkheads;
use crate::health::Health;
use crate::identity::Identifier;
use crate::limiter::Limiter;
use crate::live::Live;
use crate::overrides::Steering;
use crate::registry::Registry;
use crate::sticky::StickyStore;
use crate::telemetry::Telemetry;
use crate::usage::Usage;

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
    /// What there is to count.
    pub telemetry: Arc<Telemetry>,
    /// Calls in flight and waiting, by function.
    pub bulkheads: Bulkheads,
    /// Which instance a key sticks to.
    pub sticky: Arc<dyn StickyStore>,
    /// What is open now.
    pub live: Arc<Live>,
    /// Who calls which version.
    pub usage: Arc<Usage>,
    /// What operators have decided.
    pub steering: Arc<Steering>,
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
    let mut routes = routes::all();
    if options.metrics_open {
        router = router.route("/metrics", get(telemetry::metrics));
    } else {
        routes.push(routes::metrics());
    }
    for route in routes {
        let state = Guard {
            access: access.clone(),
            audit: audit.clone(),
            action: route.action,
            telemetry: parts.telemetry.clone(),
        };
        let layer = axum::middleware::from_fn_with_state(state, guard);
        router = router.route(route.path, route.handler.route_layer(layer));
    }
    router
        .fallback(async || {
            answer::unknown("there is no such route; GET /v1/openapi.json lists them")
        })
        .method_not_allowed_fallback(async || {
            let text = "the route has other methods; GET /v1/openapi.json lists them";
            answer::error(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::MethodNotAllowed,
                text,
            )
        })
        .with_state(Desk { parts, audit })
}

/// `GET /v1/services` and all others.
#[cfg(test)]
pub(crate) fn route_names() -> Vec<String> {
    let all = routes::all().into_iter();
    all.map(|route| format!("{} {}", route.method, route.path))
        .collect()
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
