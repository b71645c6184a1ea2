//! Circuit breakers and bulkheads of this gateway on the operator's port.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::steer::{self, Fault};
use crate::dispatch::guards::Guarded;

const CHANGE: Action = Action::write(Area::Breakers);

/// Which breaker: of a function, of an instance; all if nothing is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    service: Option<String>,
    function: Option<String>,
    version: Option<String>,
    instance: Option<String>,
}

/// `GET /v1/breakers`: those that are not closed, or count failures.
pub(super) async fn breakers(State(desk): State<Desk>) -> Response {
    steer::told(&json!({ "breakers": desk.parts.breakers.list() }))
}

/// `POST /v1/breakers/reset?service=&function=&version=` or `?service=&instance=`, or without
/// anything: all of them.
pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let breakers = &desk.parts.breakers;
    let guarded = which.guarded()?;
    let of_it = |status: &crate::dispatch::guards::BreakerStatus| {
        guarded.as_ref().is_none_or(|g| *g == status.guarded)
    };
    let mut before = breakers.list();
    before.retain(of_it);
    let target = match &guarded {
        None => {
            breakers.reset_all();
            "all breakers".to_owned()
        }
        Some(guarded) => {
            let target = format!("breaker of {}", json!(guarded));
            if !breakers.reset(guarded) {
                return Err(Fault::Missing(format!("there is no {target}")));
            }
            target
        }
    };
    let entry = Entry::changed(&operator, CHANGE, &target, json!(before), Value::Null);
    desk.audit.add(entry);
    Ok(steer::told(&json!({ "reset": before.len() })))
}

/// `GET /v1/bulkheads`: of the functions that have one.
pub(super) async fn bulkheads(State(desk): State<Desk>) -> Response {
    steer::told(&json!({ "bulkheads": desk.parts.bulkheads.list() }))
}

impl Which {
    fn guarded(self) -> Result<Option<Guarded>, Fault> {
        let wrong = "name service and function (and version), or service and instance, or nothing";
        match (self.service, self.function, self.instance) {
            (None, None, None) if self.version.is_none() => Ok(None),
            (Some(service), Some(function), None) => Ok(Some(Guarded::Function {
                service,
                function,
                version: self.version,
            })),
            (Some(service), None, Some(instance)) if self.version.is_none() => {
                Ok(Some(Guarded::Instance { service, instance }))
            }
            _ => Err(Fault::Invalid(wrong.to_owned())),
        }
    }
}
