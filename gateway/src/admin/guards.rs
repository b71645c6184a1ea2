//! Circuit breakers of all gateways, and bulkheads of this one, on the operator's port.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::peers::{self, Where};
use super::steer::{self, Fault};
use crate::diagnostics::Question;
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
    here: Option<bool>,
}

/// `GET /v1/breakers?here=`: those that are not closed, or count failures, each with its gateway.
pub(super) async fn breakers(
    State(desk): State<Desk>,
    Query(place): Query<Where>,
) -> Result<Response, Fault> {
    let answers = peers::ask(&desk, &Question::Breakers, place).await?;
    let mut all: Vec<Value> = Vec::new();
    for answer in &answers {
        let list = answer.answer.as_ref().and_then(Value::as_array);
        for breaker in list.into_iter().flatten() {
            let mut breaker = breaker.clone();
            breaker["gateway"] = answer.gateway.as_str().into();
            all.push(breaker);
        }
    }
    let silent = peers::silent(&answers);
    Ok(steer::told(&json!({ "breakers": all, "silent": silent })))
}

/// `POST /v1/breakers/reset?service=&function=&version=` or `?service=&instance=`, or without
/// anything: all of them; at all gateways, or with `here=true` at this one.
pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let place = Where { here: which.here };
    let guarded = which.guarded()?;
    let target = match &guarded {
        None => "all breakers".to_owned(),
        Some(guarded) => format!("breaker of {}", json!(guarded)),
    };
    let question = Question::ResetBreakers {
        which: guarded.clone(),
        by: operator.to_string(),
    };
    let before: Vec<_> = desk.parts.diagnostics.breakers();
    let answers = peers::ask(&desk, &question, place).await?;
    let said = |field: &'static str| answers.iter().map(move |a| &a.answer_or_null()[field]);
    let known = answers.iter().any(|a| a.answer_or_null()["known"] == true);
    // A gateway that said nothing may have it.
    if !known && answers.iter().all(|answer| answer.error.is_none()) {
        return Err(Fault::Missing(format!("there is no {target}")));
    }
    let reset: u64 = said("reset").filter_map(Value::as_u64).sum();
    let before = before
        .into_iter()
        .filter(|b| guarded.as_ref().is_none_or(|g| *g == b.guarded));
    let before = json!(before.collect::<Vec<_>>());
    let after = json!({ "reset": reset, "gateways": answers });
    let entry = Entry::changed(&operator, CHANGE, &target, before, after.clone());
    desk.audit.add(entry);
    Ok(steer::told(&after))
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
