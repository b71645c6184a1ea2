//! What handlers share that change overrides: they decide, note who did it, and say what is in
//! force now.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_protocol::{ApiVersion, ErrorCode, FunctionName, ServiceName};

use super::access::Operator;
use super::action::Action;
use super::audit::Entry;
use super::{Desk, answer};
use crate::overrides::{Changed, Decision, FunctionKey, Key, SteeringError};
use crate::registry::RegistryStopped;

/// Why a request of an operator was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not say what it has to.
    Invalid(String),
    /// What it names does not exist.
    Missing(String),
    /// There is no room for it.
    Full(String),
    /// A part that it needs is away, or the gateway shuts down.
    Unavailable(String),
}

impl Fault {
    pub(super) fn invalid(error: impl std::fmt::Display) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<SteeringError> for Fault {
    fn from(error: SteeringError) -> Self {
        let text = error.to_string();
        match error {
            SteeringError::Unavailable(_) | SteeringError::Stopped(_) => Self::Unavailable(text),
            SteeringError::Full(_) => Self::Full(text),
        }
    }
}

impl From<RegistryStopped> for Fault {
    fn from(error: RegistryStopped) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, code, text) = match self {
            Self::Invalid(text) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text),
            Self::Missing(text) => (StatusCode::NOT_FOUND, ErrorCode::InvalidRequest, text),
            // Not 503: to try again alone changes nothing.
            Self::Full(text) => (
                StatusCode::INSUFFICIENT_STORAGE,
                ErrorCode::Overloaded,
                text,
            ),
            Self::Unavailable(text) => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, text),
        };
        answer::error(status, code, &text)
    }
}

/// What shall be.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    Decide(Decision),
    Withdraw(Key),
}

impl Wish {
    /// A key that says it all stands, or does not.
    pub(super) fn flag(key: Key, stands: bool) -> Self {
        if stands {
            Self::Decide(Decision::Flag(key))
        } else {
            Self::Withdraw(key)
        }
    }

    fn key(&self) -> Key {
        match self {
            Self::Decide(decision) => decision.key(),
            Self::Withdraw(key) => key.clone(),
        }
    }
}

/// Puts it in force and notes it.
pub(super) async fn change(
    desk: &Desk,
    Operator(operator): &Operator,
    action: Action,
    wish: Wish,
) -> Result<Changed, Fault> {
    let key = wish.key();
    let target = format!("{} {key}", key.kind());
    let steering = &desk.parts.steering;
    let changed = match wish {
        Wish::Decide(decision) => steering.decide(decision, operator).await?,
        Wish::Withdraw(key) => steering.withdraw(&key).await?,
    };
    let (before, after) = (json!(changed.before), json!(changed.after));
    let entry = Entry::changed(operator, action, &target, before, after);
    desk.audit.add(entry);
    Ok(changed)
}

/// What this gateway knows of a function when an operator decides about one of its versions.
#[derive(Debug)]
pub(super) struct Standing {
    /// Whether the version that was named is among them.
    pub(super) known: bool,
    /// All versions that are served now; null: the one that has none.
    pub(super) versions: Vec<Option<ApiVersion>>,
}

impl Standing {
    /// Adds it to an answer: a decision about a name that was misspelt would be in force nowhere,
    /// and nobody would notice.
    pub(super) fn tell(&self, mut answer: Value) -> Response {
        answer["known"] = self.known.into();
        answer["versions"] = json!(self.versions);
        told(&answer)
    }
}

/// Looks before a decision, which may take the version out of what is served.
pub(super) fn standing(desk: &Desk, key: &FunctionKey) -> Standing {
    let versions = versions(desk, &key.service, &key.function);
    let known = versions.contains(&key.version);
    Standing { known, versions }
}

/// The versions of a function that this gateway knows now.
pub(super) fn versions(
    desk: &Desk,
    service: &ServiceName,
    function: &FunctionName,
) -> Vec<Option<ApiVersion>> {
    let snapshot = desk.parts.registry.snapshot();
    let functions = snapshot.services.get(service);
    let all = functions.and_then(|all| all.get(function));
    let all = all.into_iter().flat_map(|all| &all.versions);
    all.map(|f| f.version.clone()).collect()
}

/// A body of JSON.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::Invalid(format!("the body: {error}")))
}

/// 200 and JSON.
pub(super) fn told(body: &impl Serialize) -> Response {
    answer::json(StatusCode::OK, body)
}
