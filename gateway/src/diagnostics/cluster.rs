//! Who a gateway is, and whom it sees.

use serde::{Deserialize, Serialize};

use super::Diagnostics;
use super::health::Level;
use crate::dispatch::guards::Guarded;

/// One gateway of a cluster, as it sees itself and others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// The version of the program.
    pub version: String,
    /// Where its clients connect.
    pub http: String,
    /// Where its operators connect.
    pub admin: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Threads that serve clients.
    pub shards: usize,
    /// The worst of its parts.
    pub status: Level,
    /// It takes no new connections.
    pub draining: bool,
    /// The other gateways that it hears.
    pub gateways: Vec<String>,
    /// The services that it knows, by name.
    pub services: Vec<ServiceView>,
    /// Breakers that are not closed.
    pub open_breakers: Vec<String>,
}

/// A service as one gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub service: String,
    /// How many functions it has, each version for itself.
    pub functions: usize,
    /// The labels of the configs that live instances run.
    pub config_versions: Vec<String>,
    /// Live instances run different configs.
    pub mixed_config: bool,
    /// Its instances, by id.
    pub instances: Vec<InstanceView>,
}

/// An instance as one gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id.
    pub instance: String,
    /// What it said last: `ready`, `draining`, …
    pub state: String,
    /// It takes calls.
    pub live: bool,
    /// The config that it runs.
    pub config_hash: String,
    /// Milliseconds since its last message.
    pub last_seen_ms_ago: u64,
    /// Calls that this gateway has there.
    pub in_flight: u32,
    /// Calls that it takes at once; 0: not told.
    pub capacity: u32,
}

/// A breaker's name for people.
#[must_use]
pub fn guarded(what: &Guarded) -> String {
    match what {
        Guarded::Function {
            service,
            function,
            version,
        } => {
            let version = version.as_deref().unwrap_or_default();
            format!("{service}.{function} {version}")
                .trim_end()
                .to_owned()
        }
        Guarded::Instance { service, instance } => format!("{service}/{instance}"),
    }
}

impl Diagnostics {
    pub(super) async fn report(&self) -> Result<GatewayReport, String> {
        let registry = &self.parts.registry;
        let status = registry.services().await.map_err(|e| e.to_string())?;
        let gateways = registry.other_gateways().await;
        let shards = match self.parts.config.gateway.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let open = self.breakers.list().into_iter();
        let open = open.filter(|b| b.state != "closed");
        Ok(GatewayReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            http: self.parts.http.to_string(),
            admin: self.parts.admin.to_string(),
            uptime_ms: self.uptime_ms(),
            shards,
            status: self.health().await.map_or(Level::Error, |h| h.status),
            draining: self.parts.health.is_draining(),
            gateways: gateways.map_err(|e| e.to_string())?,
            services: status.services.into_iter().map(service).collect(),
            open_breakers: open.map(|b| guarded(&b.guarded)).collect(),
        })
    }
}

fn service(status: crate::registry::status::ServiceStatus) -> ServiceView {
    let live = status.configs.iter().filter(|c| c.live_instances > 0);
    let config_versions = live.filter_map(|c| c.config_version.clone()).collect();
    let instance = |i: crate::registry::status::InstanceStatus| InstanceView {
        state: serde_json::to_value(i.state)
            .ok()
            .and_then(|s| s.as_str().map(str::to_owned))
            .unwrap_or_default(),
        instance: i.instance,
        live: i.live,
        config_hash: i.config_hash,
        last_seen_ms_ago: i.last_seen_ms_ago,
        in_flight: i.in_flight,
        capacity: i.capacity,
    };
    ServiceView {
        service: status.service,
        functions: status.functions.len(),
        config_versions,
        mixed_config: status.mixed_config,
        instances: status.instances.into_iter().map(instance).collect(),
    }
}
