//! Is all well: ok, degraded or error for each part; the worst wins.

use serde::{Deserialize, Serialize};

use super::Diagnostics;
use crate::registry::status::Status;

/// Names that a text lists before it says how many more there are.
const NAMED: usize = 5;

/// How well something is; the later, the worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All is well.
    #[default]
    Ok,
    /// Some calls may fail, or soon will.
    Degraded,
    /// Calls fail.
    Error,
}

/// One part of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHealth {
    /// Which part.
    pub part: String,
    /// How well it is.
    pub status: Level,
    /// Why, and what it means for calls.
    pub text: String,
}

/// A gateway's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The worst of its parts.
    pub status: Level,
    /// All parts.
    pub parts: Vec<PartHealth>,
}

impl Diagnostics {
    pub(super) async fn health(&self) -> Result<HealthReport, String> {
        let mut parts = vec![self.readiness(), self.broker()];
        parts.extend(self.redis());
        match self.parts.registry.services().await {
            Ok(status) => parts.extend([registry(&status), workers(&status)]),
            Err(error) => parts.push(part("registry", Level::Error, error.to_string())),
        }
        parts.push(self.spared());
        Ok(HealthReport {
            status: parts.iter().map(|p| p.status).max().unwrap_or_default(),
            parts,
        })
    }

    fn readiness(&self) -> PartHealth {
        let health = &self.parts.health;
        if health.is_draining() {
            part("gateway", Level::Degraded, "it drains: no new connections")
        } else if health.is_ready() {
            part("gateway", Level::Ok, "ready")
        } else {
            let text = "not ready: the first connection to the broker and discovery are not done";
            part("gateway", Level::Error, text)
        }
    }

    fn broker(&self) -> PartHealth {
        if self.parts.health.broker_connected() {
            part("broker", Level::Ok, "connected")
        } else {
            let text = "away: calls are answered broker_unavailable at once";
            part("broker", Level::Error, text)
        }
    }

    fn redis(&self) -> Option<PartHealth> {
        Some(match self.parts.health.redis_available()? {
            true => part("redis", Level::Ok, "there"),
            false => {
                let policy = self.parts.config.limits.on_failure;
                let text = format!(
                    "away: limits are decided by {policy:?}, sticky keys and async results fail"
                );
                part("redis", Level::Degraded, text)
            }
        })
    }

    fn spared(&self) -> PartHealth {
        let open: Vec<String> = self
            .breakers
            .list()
            .into_iter()
            .filter(|b| b.state != "closed")
            .map(|b| format!("{} {}", super::cluster::guarded(&b.guarded), b.state))
            .collect();
        if open.is_empty() {
            return part("breakers", Level::Ok, "all closed");
        }
        part("breakers", Level::Degraded, listed(&open))
    }
}

fn registry(status: &Status) -> PartHealth {
    let mut faults = Vec::new();
    if !status.refused.is_empty() {
        let text = format!("{} configs are refused", status.refused.len());
        faults.push(text);
    }
    let mixed = status.services.iter().filter(|s| s.mixed_config);
    let mixed: Vec<String> = mixed.map(|s| s.service.clone()).collect();
    if !mixed.is_empty() {
        faults.push(format!("mixed_config: {}", listed(&mixed)));
    }
    if status.expiry_held_back > 0 {
        let text = format!(
            "{} instances are silent, too many at once to take them out",
            status.expiry_held_back
        );
        faults.push(text);
    }
    if faults.is_empty() {
        let services = status.services.len();
        return part("registry", Level::Ok, format!("{services} services"));
    }
    part("registry", Level::Degraded, faults.join("; "))
}

/// Whether each function that could be called has somebody who serves it.
fn workers(status: &Status) -> PartHealth {
    let mut alone = Vec::new();
    for service in &status.services {
        let fixed = |f: &&crate::registry::status::FunctionStatus| f.fixed_subject.is_some();
        let functions = service.functions.iter().filter(|f| !fixed(f));
        for function in functions.filter(|f| !f.disabled && f.live_instances == 0) {
            let version = function.version.as_deref().unwrap_or_default();
            let name = format!("{}.{} {version}", service.service, function.request_type);
            alone.push(name.trim_end().to_owned());
        }
    }
    if alone.is_empty() {
        return part("workers", Level::Ok, instances(status));
    }
    let text = format!("no worker serves {}; {}", listed(&alone), instances(status));
    part("workers", Level::Degraded, text)
}

/// `4 instances, 1 drained, 1 silent`
fn instances(status: &Status) -> String {
    let all = status.services.iter().flat_map(|s| &s.instances);
    let mut states = std::collections::BTreeMap::<String, usize>::new();
    for instance in all {
        *states.entry(super::traffic::state(instance)).or_default() += 1;
    }
    let count: usize = states.values().sum();
    let mut text = format!(
        "{count} {}",
        if count == 1 { "instance" } else { "instances" }
    );
    for (state, n) in states.iter().filter(|(state, _)| *state != "ready") {
        text.push_str(&format!(", {n} {state}"));
    }
    text
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    let shown = names.get(..NAMED).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn part(name: &str, status: Level, text: impl Into<String>) -> PartHealth {
    PartHealth {
        part: name.to_owned(),
        status,
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins_and_lists_are_short() {
        assert_eq!(
            [Level::Ok, Level::Error, Level::Degraded].iter().max(),
            Some(&Level::Error)
        );
        let names: Vec<String> = (0..7).map(|i| i.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4 and 2 more");
        assert_eq!(listed(&names[..2]), "0, 1");
        let status = Status {
            expiry_held_back: 2,
            ..Status::default()
        };
        assert_eq!(registry(&status).status, Level::Degraded);
        assert_eq!(workers(&Status::default()).status, Level::Ok);
    }
}
