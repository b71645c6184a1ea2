//! The levels of all gateways' logs on the operator's port.

use axum::Extension;
use axum::body::Bytes;
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
use crate::diagnostics::change::LogError;
use crate::diagnostics::{Answer, Question};
use crate::telemetry::levels::LevelsError;

const CHANGE: Action = Action::write(Area::Log);

/// Which levels, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(alias = "level")]
    filter: String,
    for_ms: Option<u64>,
}

/// `GET /v1/log?here=`
pub(super) async fn show(
    State(desk): State<Desk>,
    Query(place): Query<Where>,
) -> Result<Response, Fault> {
    desk.parts.diagnostics.levels()?;
    let answers = peers::ask(&desk, &Question::Log, place).await?;
    Ok(steer::told(&tell(&answers)))
}

/// `PUT /v1/log?here= {"filter": "debug", "for_ms": 60000}`
pub(super) async fn set(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Query(place): Query<Where>,
    body: Bytes,
) -> Result<Response, Fault> {
    let wanted: Wanted = steer::body(&body)?;
    change(&desk, &operator, place, Some(wanted.filter), wanted.for_ms).await
}

/// `DELETE /v1/log?here=`: back to what the configuration says.
pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Query(place): Query<Where>,
) -> Result<Response, Fault> {
    change(&desk, &operator, place, None, None).await
}

async fn change(
    desk: &Desk,
    Operator(operator): &Operator,
    place: Where,
    filter: Option<String>,
    for_ms: Option<u64>,
) -> Result<Response, Fault> {
    let before = desk.parts.diagnostics.levels()?.told();
    let question = Question::SetLog {
        filter,
        for_ms,
        by: operator.to_string(),
    };
    let answers = peers::ask(desk, &question, place).await?;
    let after = tell(&answers);
    let entry = Entry::changed(operator, CHANGE, "log", json!(before), after.clone());
    desk.audit.add(entry);
    Ok(steer::told(&after))
}

/// This gateway's levels, and those of each.
fn tell(answers: &[Answer]) -> Value {
    let own = answers.first().map(|own| own.answer_or_null().clone());
    let mut told = own.unwrap_or_default();
    told["gateways"] = json!(answers);
    told
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        let text = error.to_string();
        match error {
            LogError::NotOurs => Self::Missing(text),
            LogError::Levels(LevelsError::Invalid(_)) => Self::Invalid(text),
            LogError::Levels(LevelsError::Refused(_)) => Self::Unavailable(text),
        }
    }
}
