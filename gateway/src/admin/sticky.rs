//! Sticky keys on the operator's port: which instance one is bound to; one is forgotten.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_protocol::Payload;

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::steer::{self, Fault};
use super::versions::{self, Name};
use crate::dispatch::select;
use crate::overrides::FunctionKey;
use crate::sticky::StoreUnavailable;

const CHANGE: Action = Action::write(Area::Sticky);

/// Which key of a function.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    /// The value of the arg: JSON, or else text.
    key: String,
}

impl From<StoreUnavailable> for Fault {
    fn from(error: StoreUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// `GET /v1/functions/{service}/{function}/sticky?version=&key=`
pub(super) async fn look(
    State(desk): State<Desk>,
    path: Name,
    Query(version): Query<versions::Which>,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let (scope, key) = place(&versions::key(&path, &version)?, &which)?;
    let bound = desk.parts.sticky.look(&scope, &key).await?;
    Ok(steer::told(&json!({ "instance": bound })))
}

/// `DELETE /v1/functions/{service}/{function}/sticky?version=&key=`: its next call picks anew.
pub(super) async fn forget(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    path: Name,
    Query(version): Query<versions::Which>,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let function = versions::key(&path, &version)?;
    let (scope, key) = place(&function, &which)?;
    let sticky = &desk.parts.sticky;
    let before = sticky.look(&scope, &key).await?;
    let forgotten = sticky.forget(&scope, &key).await?;
    let target = format!("sticky key of {function}: {}", which.key);
    let entry = Entry::changed(&operator, CHANGE, &target, json!(before), Value::Null);
    desk.audit.add(entry);
    Ok(steer::told(
        &json!({ "forgotten": forgotten, "instance": before }),
    ))
}

/// Where dispatch keeps it.
fn place(function: &FunctionKey, which: &Which) -> Result<(String, String), Fault> {
    // Read as args are, so that the same value is the same key.
    let value: Box<serde_json::value::RawValue> = match serde_json::from_str(&which.key) {
        Ok(value) => value,
        Err(_) => serde_json::value::to_raw_value(&which.key).map_err(Fault::invalid)?,
    };
    let args = Payload::json(format!("{{\"key\":{value}}}"));
    let key = select::key_of(&args, "key");
    let key = key.ok_or_else(|| Fault::Invalid("key: a value other than null".to_owned()))?;
    Ok((function.label(), hex::encode(key)))
}
