//! `GET /v1/stats`: what `sluice top` and `sluice stats` show.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::function_stats::{Outcome, Totals};
use super::window::Recent;
use super::{Telemetry, names, prometheus};
use crate::registry::snapshot::{Function, Instance};

/// The traffic of a gateway.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// Seconds that the rates per minute are over: 60, or less after a start.
    pub window_s: u64,
    /// By name; calls to functions that do not exist are under `_unknown`.
    pub services: BTreeMap<String, ServiceStats>,
}

/// One service.
#[derive(Debug, Default, Serialize)]
pub struct ServiceStats {
    /// By name, then by version.
    pub functions: Vec<FunctionTraffic>,
    /// By id.
    pub instances: Vec<InstanceTraffic>,
}

/// One version of one function.
#[derive(Debug, Serialize)]
pub struct FunctionTraffic {
    /// Its name.
    pub function: String,
    /// Its version.
    pub version: Option<String>,
    /// Calls that ended since the gateway started.
    pub calls_total: u64,
    /// Calls that ended within the last second.
    pub rate_1s: f64,
    /// Calls per second within the last minute.
    pub rate_1m: f64,
    /// The share of the last minute's calls that failed, 0 to 1.
    pub error_rate: f64,
    /// Half of the last minute's calls took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 % of them took no longer.
    pub p99_ms: f64,
    /// Calls without a final answer yet.
    pub in_flight: u64,
    /// The last minute's calls by `ok` or error code.
    pub by_code: BTreeMap<&'static str, u64>,
}

/// One instance: the attempts that it is known to have held.
#[derive(Debug, Serialize)]
pub struct InstanceTraffic {
    /// Its id.
    pub instance: String,
    /// `ready`, `drained` (by an operator), `silent`, or what it said of itself.
    pub state: String,
    /// Attempts that ended, per second within the last minute.
    pub rate_1m: f64,
    /// The share of the last minute's attempts that failed, 0 to 1.
    pub error_rate: f64,
    /// Attempts that ended since the gateway started.
    pub calls: u64,
    /// Of those, failed ones.
    pub errors: u64,
    /// Calls of this gateway that it holds now.
    pub in_flight: u64,
    /// Calls of all gateways that it held at its last heartbeat.
    pub reported_in_flight: u64,
    /// Calls that it takes at once; 0: not told.
    pub capacity: u64,
    /// Half of the last minute's attempts took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 % of them took no longer.
    pub p99_ms: f64,
}

impl InstanceTraffic {
    /// An instance that has nothing to do here.
    pub(crate) fn idle(instance: String, state: String) -> Self {
        Self {
            instance,
            state,
            rate_1m: 0.0,
            error_rate: 0.0,
            calls: 0,
            errors: 0,
            in_flight: 0,
            reported_in_flight: 0,
            capacity: 0,
            p50_ms: 0.0,
            p99_ms: 0.0,
        }
    }
}

impl Telemetry {
    /// The traffic now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let tick = self.now();
        let mut services: BTreeMap<String, ServiceStats> = BTreeMap::new();
        for function in self.functions() {
            let totals = function.stats.totals();
            let recent = function.stats.window.lock().look(tick, totals);
            let service = services.entry(function.service.to_string()).or_default();
            service.functions.push(of_function(&function, &recent));
        }
        let unknown = self.unknown.totals();
        if unknown.started > 0 {
            let recent = self.unknown.window.lock().look(tick, unknown);
            let service = services.entry(names::UNKNOWN.to_owned()).or_default();
            service
                .functions
                .push(traffic(names::UNKNOWN, None, &recent));
        }
        for instance in self.instances() {
            let service = services.entry(instance.service.to_string()).or_default();
            service.instances.push(of_instance(&instance, tick));
        }
        Stats {
            window_s: tick.clamp(1, 60),
            services,
        }
    }
}

fn of_function(function: &Function, recent: &Recent) -> FunctionTraffic {
    let version = Some(prometheus::version(function)).filter(|v| !v.is_empty());
    traffic(function.request_type.as_str(), version, recent)
}

fn traffic(function: &str, version: Option<&str>, recent: &Recent) -> FunctionTraffic {
    let minute = &recent.minute;
    let calls = minute.calls();
    let failed = calls - minute.outcomes[0];
    FunctionTraffic {
        function: function.to_owned(),
        version: version.map(ToOwned::to_owned),
        calls_total: recent.totals.calls(),
        rate_1s: recent.calls_last_second as f64,
        rate_1m: calls as f64 / recent.seconds as f64,
        error_rate: if calls == 0 {
            0.0
        } else {
            failed as f64 / calls as f64
        },
        p50_ms: minute.duration.quantile_ms(0.5),
        p99_ms: minute.duration.quantile_ms(0.99),
        in_flight: recent.totals.in_flight(),
        by_code: by_code(minute),
    }
}

fn by_code(totals: &Totals) -> BTreeMap<&'static str, u64> {
    let all = Outcome::all().map(|(index, code)| (code, totals.outcomes[index]));
    all.filter(|(_, n)| *n > 0).collect()
}

fn of_instance(instance: &Instance, tick: u64) -> InstanceTraffic {
    let totals = instance.stats.as_calls();
    let recent = instance.stats.window.lock().look(tick, totals);
    let minute = &recent.minute;
    let load = |n: &std::sync::atomic::AtomicU32| u64::from(n.load(Ordering::Relaxed));
    InstanceTraffic {
        instance: instance.id.to_string(),
        state: "ready".to_owned(),
        rate_1m: minute.calls() as f64 / recent.seconds as f64,
        error_rate: match minute.calls() {
            0 => 0.0,
            calls => minute.outcomes[1] as f64 / calls as f64,
        },
        calls: totals.calls(),
        errors: totals.outcomes[1],
        in_flight: load(&instance.in_flight),
        reported_in_flight: load(&instance.reported_in_flight),
        capacity: load(&instance.capacity),
        p50_ms: minute.duration.quantile_ms(0.5),
        p99_ms: minute.duration.quantile_ms(0.99),
    }
}
