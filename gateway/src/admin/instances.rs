//! Instances on the operator's port: state, load, last seen; drained on every gateway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_protocol::{InstanceId, ServiceName};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::page::Page;
use super::steer::{self, Fault, Wish};
use crate::overrides::Key;
use crate::registry::status::{InstanceStatus, Status};

const CHANGE: Action = Action::write(Area::Instances);
/// Instances that a refusal names at most.
const MOST_NAMED: usize = 20;
/// A drained instance that is not heard after so long does not come back.
const GONE_FOR: Duration = Duration::from_secs(24 * 3600);

/// Which instances are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    service: Option<String>,
    live: Option<bool>,
    drained: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Listed {
    service: String,
    #[serde(flatten)]
    status: InstanceStatus,
}

/// `GET /v1/instances?service=&live=&drained=&limit=&offset=`
pub(super) async fn list(
    State(desk): State<Desk>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Result<Response, Fault> {
    let status = desk.parts.registry.services().await?;
    let mut all = Vec::new();
    for service in status.services {
        if filter
            .service
            .as_ref()
            .is_some_and(|s| *s != service.service)
        {
            continue;
        }
        let wanted = |i: &InstanceStatus| {
            filter.live.is_none_or(|live| live == i.live)
                && filter.drained.is_none_or(|drained| drained == i.drained)
        };
        let instances = service.instances.into_iter().filter(wanted);
        all.extend(instances.map(|status| Listed {
            service: service.service.clone(),
            status,
        }));
    }
    Ok(steer::told(&page.cut("instances", &all)))
}

/// Whether an instance gets new calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drained {
    drained: bool,
}

/// `PUT /v1/instances/{service}/{instance}/drained` with `{"drained": true}`: it gets no new
/// calls; those that it has go on.
pub(super) async fn set_drained(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path((service, instance)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Fault> {
    let service = ServiceName::new(&service).map_err(Fault::invalid)?;
    let instance = InstanceId::new(&instance).map_err(Fault::invalid)?;
    let wanted: Drained = steer::body(&body)?;
    let status = desk.parts.registry.services().await?;
    let of_service = status
        .services
        .iter()
        .find(|s| s.service == service.as_str());
    let mut instances = of_service.into_iter().flat_map(|s| &s.instances);
    let found = instances.find(|i| i.instance == instance.as_str());
    let key = Key::Drained {
        service: service.clone(),
        instance: instance.clone(),
    };
    // A name that was misspelt would drain nobody, or leave somebody drained, and nobody would
    // notice. One that is gone may be taken out of the drained ones.
    let is_drained = desk.parts.steering.overrides().get(&key).is_some();
    if found.is_none() && (wanted.drained || !is_drained) {
        let all = of_service.into_iter().flat_map(|s| &s.instances);
        let all: Vec<&str> = all.map(|i| i.instance.as_str()).take(MOST_NAMED).collect();
        let text = match all.is_empty() {
            true => format!("{service} has no instances here"),
            false => format!(
                "{service} has no instance {instance} here; it has {}",
                all.join(", ")
            ),
        };
        return Err(Fault::Missing(text));
    }
    forget_gone(&desk, &status).await?;
    let wish = Wish::flag(key, wanted.drained);
    steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(steer::told(&json!({
        "drained": wanted.drained,
        "in_flight": found.map(|i| i.in_flight),
    })))
}

/// Instances that were drained and are long gone: each worker process has a name of its own, so
/// their overrides would pile up.
async fn forget_gone(desk: &Desk, status: &Status) -> Result<(), Fault> {
    let old = SystemTime::now() - GONE_FOR;
    let old = old.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let overrides = desk.parts.steering.overrides();
    for entry in overrides.entries().filter(|entry| entry.value.at < old) {
        let Key::Drained { service, instance } = &entry.key else {
            continue;
        };
        let of_service = status
            .services
            .iter()
            .filter(|s| s.service == service.as_str());
        let mut instances = of_service.flat_map(|s| &s.instances);
        if !instances.any(|i| i.instance == instance.as_str()) {
            desk.parts.steering.withdraw(&entry.key).await?;
        }
    }
    Ok(())
}
