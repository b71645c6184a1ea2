//! Versions of functions on the operator's port: who has which, who calls them; switched off and
//! on, deleted, deprecated, made the latest. Changes are in force on every gateway, and after
//! restarts.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_protocol::{ApiVersion, FunctionName, ServiceName};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::page::Page;
use super::steer::{self, Fault, Wish};
use crate::overrides::{Client, Decision, Deprecation, FunctionKey, Key};
use crate::usage::Told;

const CHANGE: Action = Action::write(Area::Versions);
/// Clients that one answer names at most.
const CALLERS: usize = 1000;

/// A service and a function, in the path.
pub(super) type Name = Path<(String, String)>;

/// Which version of a function; without: the one that has none.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    version: Option<String>,
}

/// Which versions are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    service: Option<String>,
    function: Option<String>,
    state: Option<Standing>,
}

/// Whether a version takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Enabled,
    Disabled,
    Deleted,
}

/// One version of a function, as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    key: FunctionKey,
    state: Standing,
    /// Who disabled or deleted it; `worker`: it was registered so.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// A call that names no version gets it.
    latest: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation: Option<Deprecation>,
    /// Instances that take its calls.
    instances: usize,
    /// Calls that this gateway has sent on.
    calls: u64,
}

/// `GET /v1/versions?service=&function=&state=&limit=&offset=`
pub(super) async fn list(
    State(desk): State<Desk>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Response {
    let mut all: Vec<Listed> = known(&desk).chain(deleted(&desk)).collect();
    let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w == name);
    all.retain(|version| {
        is(&filter.service, version.key.service.as_str())
            && is(&filter.function, version.key.function.as_str())
            && filter.state.is_none_or(|state| state == version.state)
    });
    all.sort_by(|a, b| a.key.cmp(&b.key));
    steer::told(&page.cut("versions", &all))
}

fn known(desk: &Desk) -> impl Iterator<Item = Listed> {
    let overrides = desk.parts.steering.overrides();
    let snapshot = desk.parts.registry.snapshot();
    let mut all = Vec::new();
    for versions in snapshot.services.values().flat_map(|f| f.values()) {
        let latest = versions.current().map(|f| f.version.clone());
        for function in &versions.versions {
            let key = FunctionKey::of(function);
            let word = overrides.function(&key);
            let by_operator = overrides.get(&Key::Disabled(key.clone()));
            let by = by_operator.map_or("worker".to_owned(), |entry| entry.value.by.clone());
            all.push(Listed {
                state: if function.disabled {
                    Standing::Disabled
                } else {
                    Standing::Enabled
                },
                by: function.disabled.then_some(by),
                latest: latest.as_ref() == Some(&function.version),
                deprecation: word.and_then(|w| Some(w.deprecated.as_ref()?.0.clone())),
                instances: function.variants.iter().map(|v| v.instances.len()).sum(),
                calls: function.callers.look().total,
                key,
            });
        }
    }
    all.into_iter()
}

/// They are in no snapshot.
fn deleted(desk: &Desk) -> impl Iterator<Item = Listed> {
    let overrides = desk.parts.steering.overrides();
    let deleted = overrides.entries().filter_map(|entry| match &entry.key {
        Key::Deleted(key) => Some(Listed {
            key: key.clone(),
            state: Standing::Deleted,
            by: Some(entry.value.by.clone()),
            latest: false,
            deprecation: None,
            instances: 0,
            calls: 0,
        }),
        _ => None,
    });
    deleted.collect::<Vec<_>>().into_iter()
}

/// `GET /v1/functions/{service}/{function}/callers?version=`: who calls it, at all gateways where
/// there is a Redis.
pub(super) async fn callers(
    State(desk): State<Desk>,
    path: Name,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let told = desk.parts.usage.look(&key).await;
    let told = told.ok_or_else(|| Fault::Missing(format!("{key} is not known here")))?;
    Ok(steer::told(&tell_callers(&told)))
}

fn tell_callers(told: &Told) -> Value {
    let callers = told.callers.iter().take(CALLERS).map(|caller| {
        let mut one = match &caller.client {
            Some(Client::User(id)) => json!({ "user": id }),
            Some(Client::ApiKey(name)) => json!({ "api_key": name }),
            None => json!({ "anonymous": true }),
        };
        one["calls"] = caller.calls.into();
        one["last"] = caller.last.into();
        one
    });
    json!({
        "all_gateways": told.of_all_gateways,
        "calls": told.calls,
        "others": told.others,
        "callers": callers.collect::<Vec<_>>(),
    })
}

/// Whether a version takes calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disabled {
    disabled: bool,
}

/// `PUT /v1/functions/{service}/{function}/disabled?version=` with `{"disabled": true}`.
pub(super) async fn set_disabled(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    path: Name,
    Query(which): Query<Which>,
    body: Bytes,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let wanted: Disabled = steer::body(&body)?;
    let standing = steer::standing(&desk, &key);
    let wish = Wish::flag(Key::Disabled(key), wanted.disabled);
    steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(standing.tell(json!({ "disabled": wanted.disabled })))
}

/// `DELETE /v1/functions/{service}/{function}?version=`: as if it had never been registered, and
/// as if it never will be, until it is restored.
pub(super) async fn delete(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    path: Name,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let standing = steer::standing(&desk, &key);
    let wish = Wish::flag(Key::Deleted(key), true);
    steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(standing.tell(json!({ "deleted": true })))
}

/// `POST /v1/functions/{service}/{function}/restore?version=`: the opposite.
pub(super) async fn restore(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    path: Name,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let missing = format!("{key} is not deleted");
    withdraw(&desk, &operator, Key::Deleted(key), missing).await?;
    Ok(steer::told(&json!({ "deleted": false })))
}

/// Which version is the latest; none: the newest that is served.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Latest {
    // To be named, null too: a body that says nothing takes no decision back.
    #[serde(deserialize_with = "Option::deserialize")]
    version: Option<ApiVersion>,
}

/// `PUT /v1/functions/{service}/{function}/latest` with `{"version": "1.2.0"}`, or null.
pub(super) async fn set_latest(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path((service, function)): Name,
    body: Bytes,
) -> Result<Response, Fault> {
    let service = ServiceName::new(&service).map_err(Fault::invalid)?;
    let function = FunctionName::new(&function).map_err(Fault::invalid)?;
    let wanted: Latest = steer::body(&body)?;
    let versions = steer::versions(&desk, &service, &function);
    // None: whichever is the newest, as long as there is any.
    let known = match &wanted.version {
        Some(_) => versions.contains(&wanted.version),
        None => !versions.is_empty(),
    };
    let standing = steer::Standing { known, versions };
    let wish = match wanted.version.clone() {
        Some(version) => Wish::Decide(Decision::Latest(service, function, version)),
        None => Wish::Withdraw(Key::Latest { service, function }),
    };
    steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(standing.tell(json!(wanted)))
}

/// `PUT /v1/functions/{service}/{function}/deprecation?version=` with `{"at": …, "sunset": …,
/// "link": …}`, times in seconds since 1970.
pub(super) async fn deprecate(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    path: Name,
    Query(which): Query<Which>,
    body: Bytes,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let deprecation: Deprecation = steer::body(&body)?;
    deprecation.check().map_err(Fault::Invalid)?;
    let told = json!({ "deprecation": deprecation });
    let standing = steer::standing(&desk, &key);
    let wish = Wish::Decide(Decision::Deprecate(key, deprecation));
    steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(standing.tell(told))
}

/// `DELETE /v1/functions/{service}/{function}/deprecation?version=`
pub(super) async fn undeprecate(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    path: Name,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    let key = key(&path, &which)?;
    let missing = format!("{key} is not deprecated");
    withdraw(&desk, &operator, Key::Deprecated(key), missing).await?;
    Ok(steer::told(&json!({ "deprecation": null })))
}

/// Takes a decision back, which there has to be.
async fn withdraw(
    desk: &Desk,
    operator: &Operator,
    decided: Key,
    missing: String,
) -> Result<(), Fault> {
    let wish = Wish::Withdraw(decided);
    let changed = steer::change(desk, operator, CHANGE, wish).await?;
    changed.before.map(drop).ok_or(Fault::Missing(missing))
}

/// The version that a request is about.
pub(super) fn key(Path((service, function)): &Name, which: &Which) -> Result<FunctionKey, Fault> {
    let version = which.version.as_deref().map(ApiVersion::new).transpose();
    Ok(FunctionKey {
        service: ServiceName::new(service).map_err(Fault::invalid)?,
        function: FunctionName::new(function).map_err(Fault::invalid)?,
        version: version.map_err(Fault::invalid)?,
    })
}
