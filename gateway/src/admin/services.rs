//! Services, their functions, and the configs that were refused.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_protocol::{ApiVersion, ErrorCode, FunctionName, ServiceName};

use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
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

/// Whether a function takes calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disabled {
    disabled: bool,
}

/// Which version of a function.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    version: Option<String>,
}

/// `PUT /v1/functions/{service}/{function}/disabled?version=` with `{"disabled": true}`: of this
/// gateway, until it restarts.
pub(super) async fn set_disabled(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path((service, function)): Path<(String, String)>,
    Query(query): Query<Version>,
    body: Bytes,
) -> Response {
    let wanted = match serde_json::from_slice::<Disabled>(&body) {
        Ok(wanted) => wanted.disabled,
        Err(error) => return invalid(&format!("the body: {error}")),
    };
    let (service, function) = match (ServiceName::new(&service), FunctionName::new(&function)) {
        (Ok(service), Ok(function)) => (service, function),
        (Err(error), _) => return invalid(&error.to_string()),
        (_, Err(error)) => return invalid(&error.to_string()),
    };
    let version = match query.version.as_deref().map(ApiVersion::new).transpose() {
        Ok(version) => version,
        Err(error) => return invalid(&error.to_string()),
    };
    let label = match &version {
        Some(version) => format!("{service}.{function} {version}"),
        None => format!("{service}.{function}"),
    };
    let registry = &desk.parts.registry;
    let set = registry.set_disabled(&service, &function, version.as_ref(), wanted);
    match set.await {
        Ok(true) => {
            let after = json!({ "disabled": wanted });
            let entry = Entry::changed(&operator, CHANGE, &label, json!(null), after.clone());
            desk.audit.add(entry);
            answer::json(StatusCode::OK, &after)
        }
        Ok(false) => {
            let text = format!(
                "{label} is not known here now; it will be {} when it comes",
                { if wanted { "disabled" } else { "enabled" } }
            );
            let after = json!({ "disabled": wanted });
            desk.audit.add(Entry::changed(
                &operator,
                CHANGE,
                &label,
                json!(null),
                after,
            ));
            answer::error(StatusCode::NOT_FOUND, ErrorCode::UnknownFunction, &text)
        }
        Err(error) => stopped(error),
    }
}

/// `GET /v1/config`: as it runs, secrets masked.
pub(super) async fn config(State(desk): State<Desk>) -> Response {
    let text = format!("{:#?}", desk.parts.config);
    answer::json(StatusCode::OK, &json!({ "config": text }))
}

/// `GET /v1/audit`
pub(super) async fn audit(State(desk): State<Desk>) -> Response {
    answer::json(StatusCode::OK, &json!({"entries": desk.audit.list()}))
}

fn invalid(text: &str) -> Response {
    answer::error(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text)
}

fn stopped(error: RegistryStopped) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer::error(status, ErrorCode::Internal, &error.to_string())
}
