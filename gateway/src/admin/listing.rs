//! The answer of `GET /v1/services`: what `sluice services` and the page of `dev` show.

use serde::Serialize;
use serde_json::Value;

use crate::registry::refused::Refused;
use crate::registry::status::{FunctionStatus, InstanceStatus, ServiceStatus, Status};

/// All services, and the configs that were refused.
#[derive(Debug, Serialize)]
pub struct Listing {
    services: Vec<Service>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Service {
    service: String,
    mixed_config: bool,
    functions: Vec<Function>,
    instances: Vec<InstanceStatus>,
}

#[derive(Debug, Serialize)]
struct Function {
    request_type: String,
    version: Option<String>,
    response_type: Value,
    choose_node_mode: Value,
    description: Value,
    disabled: bool,
    instances: usize,
    mixed_config: bool,
    /// The newest form of it, whole.
    spec: Value,
}

/// The answer of `GET /v1/services/{service}`.
#[derive(Debug, Serialize)]
pub(super) struct One {
    #[serde(flatten)]
    service: Service,
    /// The versions that are translated, oldest first, as the latest config lists them; null: none.
    versions: Value,
}

impl One {
    /// The service of this name, if anything is known of it.
    pub(super) fn of(status: Status, name: &str) -> Option<Self> {
        let mut services = status.services.into_iter();
        let mut service = services.find(|service| service.service == name)?;
        let versions = service.versions.take();
        Some(Self {
            service: service.into(),
            versions,
        })
    }
}

impl From<Status> for Listing {
    fn from(status: Status) -> Self {
        let services = status.services.into_iter().map(Service::from).collect();
        Self {
            services,
            refused: status.refused,
        }
    }
}

impl From<ServiceStatus> for Service {
    fn from(status: ServiceStatus) -> Self {
        Self {
            service: status.service,
            mixed_config: status.mixed_config,
            functions: status.functions.into_iter().map(Function::from).collect(),
            instances: status.instances,
        }
    }
}

impl From<FunctionStatus> for Function {
    fn from(status: FunctionStatus) -> Self {
        let spec = status
            .variants
            .into_iter()
            .next_back()
            .map(|v| v.spec)
            .unwrap_or_default();
        // A field that has its default is left out of a spec.
        let field = |name: &str, default: &str| match &spec[name] {
            Value::Null if default.is_empty() => Value::Null,
            Value::Null => Value::from(default),
            value => value.clone(),
        };
        Self {
            response_type: field("response_type", "sync"),
            choose_node_mode: field("choose_node_mode", "random"),
            description: field("description", ""),
            request_type: status.request_type,
            version: status.version,
            disabled: status.disabled,
            instances: status.live_instances,
            mixed_config: status.mixed_config,
            spec,
        }
    }
}
