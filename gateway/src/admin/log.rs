//! The levels of this gateway's log on the operator's port.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::steer::{self, Fault};
use crate::telemetry::levels::{Levels, LevelsError};

const CHANGE: Action = Action::write(Area::Log);

/// Which levels, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(alias = "level")]
    filter: String,
    for_ms: Option<u64>,
}

/// `GET /v1/log`
pub(super) async fn show(State(desk): State<Desk>) -> Result<Response, Fault> {
    Ok(steer::told(&levels(&desk)?.told()))
}

/// `PUT /v1/log {"filter": "debug", "for_ms": 60000}`
pub(super) async fn set(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Response, Fault> {
    let wanted: Wanted = steer::body(&body)?;
    let during = wanted.for_ms.map(Duration::from_millis);
    change(&desk, &operator, Some(&wanted.filter), during)
}

/// `DELETE /v1/log`: back to what the configuration says.
pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
) -> Result<Response, Fault> {
    change(&desk, &operator, None, None)
}

fn change(
    desk: &Desk,
    Operator(operator): &Operator,
    filter: Option<&str>,
    during: Option<Duration>,
) -> Result<Response, Fault> {
    let levels = levels(desk)?;
    let before = levels.told();
    let after = levels.set(filter, during).map_err(|error| match error {
        LevelsError::Invalid(text) => Fault::Invalid(text),
        LevelsError::Refused(_) => Fault::Unavailable(error.to_string()),
    })?;
    let entry = Entry::changed(operator, CHANGE, "log", json!(before), json!(after));
    desk.audit.add(entry);
    Ok(steer::told(&after))
}

fn levels(desk: &Desk) -> Result<&Arc<Levels>, Fault> {
    desk.parts.levels.as_ref().ok_or_else(|| {
        let text = "the log belongs to the program that this gateway runs in";
        Fault::Missing(text.to_owned())
    })
}
