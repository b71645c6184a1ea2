//! Services, their functions, and the configs that were refused.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_protocol::ErrorCode;

use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::page::Page;
use super::{Desk, answer, listing};
use crate::registry::RegistryStopped;
use crate::registry::refused::RefusedFilter;

const CHANGE: Action = Action::write(Area::Services);

/// `GET /v1/services`
pub(super) async fn list(State(desk): State<Desk>) -> Response {
    match desk.parts.registry.services().await {
        Ok(status) => answer::json(StatusCode::OK, &listing::Listing::from(status)),
        Err(error) => stopped(error),
    }
}

/// `GET /v1/services/{service}`
pub(super) async fn one(State(desk): State<Desk>, Path(service): Path<String>) -> Response {
    match desk.parts.registry.services().await {
        Ok(status) => match listing::One::of(status, &service) {
            Some(one) => answer::json(StatusCode::OK, &one),
            None => answer::unknown(&format!("no service {service:?} is known here")),
        },
        Err(error) => stopped(error),
    }
}

/// `GET /v1/refused?service=&source=&limit=`
pub(super) async fn refused(
    State(desk): State<Desk>,
    Query(filter): Query<RefusedFilter>,
) -> Response {
    match desk.parts.registry.refused(filter).await {
        Ok(refused) => answer::json(StatusCode::OK, &json!({"refused": refused})),
        Err(error) => stopped(error),
    }
}

/// `DELETE /v1/refused?service=&source=`
pub(super) async fn clear_refused(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Query(filter): Query<RefusedFilter>,
) -> Response {
    let target = format!("refused {}", filter.service.as_deref().unwrap_or("*"));
    match desk.parts.registry.clear_refused(filter).await {
        Ok(cleared) => {
            let after = json!({ "cleared": cleared });
            let entry = Entry::changed(&operator, CHANGE, &target, json!(null), after.clone());
            desk.audit.add(entry);
            answer::json(StatusCode::OK, &after)
        }
        Err(error) => stopped(error),
    }
}

/// `GET /v1/gateways`: this one, and how many there are.
pub(super) async fn gateways(State(desk): State<Desk>) -> Response {
    let told = json!({
        "gateway": desk.parts.config.gateway.id,
        "version": env!("CARGO_PKG_VERSION"),
        "live_gateways": desk.parts.registry.live_gateways(),
        "overrides_generation": desk.parts.steering.overrides().generation(),
    });
    answer::json(StatusCode::OK, &told)
}

/// `GET /v1/config`: as it runs, secrets masked.
pub(super) async fn config(State(desk): State<Desk>) -> Response {
    answer::json(
        StatusCode::OK,
        &json!({ "config": desk.parts.config.running() }),
    )
}

/// Which entries of the audit are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Audited {
    operator: Option<String>,
    allowed: Option<bool>,
}

/// `GET /v1/audit?operator=&allowed=&limit=&offset=`
pub(super) async fn audit(
    State(desk): State<Desk>,
    Query(wanted): Query<Audited>,
    Query(page): Query<Page>,
) -> Response {
    let operator = wanted.operator.as_deref();
    let entries = desk.audit.list(operator, wanted.allowed);
    answer::json(StatusCode::OK, &page.cut("entries", &entries))
}

fn stopped(error: RegistryStopped) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer::error(status, ErrorCode::Internal, &error.to_string())
}
