//! The traffic of all gateways in one view, for `sluice stats` and `sluice top`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::everybody::Answers;

/// What one gateway says: `GET /v1/cluster/stats`. Fields of newer gateways are passed over.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Traffic {
    #[serde(default)]
    services: BTreeMap<String, Service>,
    #[serde(default)]
    breakers: Vec<Breaker>,
}

#[derive(Debug, Clone, Deserialize)]
struct Service {
    #[serde(default)]
    functions: Vec<Function>,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Debug, Clone, Deserialize)]
struct Function {
    function: String,
    version: Option<String>,
    calls_total: u64,
    rate_1s: f64,
    rate_1m: f64,
    error_rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    in_flight: u64,
    #[serde(default)]
    by_code: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Instance {
    instance: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    rate_1m: f64,
    #[serde(default)]
    error_rate: f64,
    calls: u64,
    errors: u64,
    in_flight: u64,
    capacity: u64,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct Breaker {
    kind: String,
    service: String,
    function: Option<String>,
    version: Option<String>,
    instance: Option<String>,
    state: String,
}

/// All gateways at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct View {
    /// Gateways that answered.
    pub(super) gateways: usize,
    /// Gateways that did not.
    pub(super) silent: Vec<String>,
    /// What fails most first, then what is called most.
    pub(super) functions: Vec<FunctionLine>,
    /// What fails most first, then what is called most.
    pub(super) instances: Vec<InstanceLine>,
}

/// One version of a function, over all gateways.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct FunctionLine {
    /// `service.function@version`
    pub(super) name: String,
    pub(super) calls: u64,
    /// Calls per second, over the last second.
    pub(super) rate_1s: f64,
    /// Calls per second, over the last minute.
    pub(super) rate_1m: f64,
    /// The share of the last minute's calls that failed, 0 to 1.
    pub(super) error_rate: f64,
    /// Of the slowest gateway.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) in_flight: u64,
    pub(super) breaker: String,
    /// The code that most of its failures have.
    pub(super) mostly: Option<String>,
}

/// One instance, over all gateways.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct InstanceLine {
    /// `service/instance`
    pub(super) name: String,
    /// Attempts since the gateways started, and failed ones of them.
    pub(super) calls: u64,
    pub(super) errors: u64,
    /// Attempts per second, over the last minute.
    pub(super) rate_1m: f64,
    /// The share of them that failed, 0 to 1.
    pub(super) error_rate: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) in_flight: u64,
    pub(super) capacity: u64,
    /// `ready`, `drained`, `silent`, …: the first gateway's that says something else than ready.
    pub(super) state: String,
    pub(super) breaker: String,
}

/// How bad a state is.
fn rank(state: &str) -> u8 {
    match state {
        "open" => 2,
        "half_open" => 1,
        _ => 0,
    }
}

impl View {
    pub(super) fn of(answers: &Answers<Traffic>) -> Self {
        let mut functions: BTreeMap<String, FunctionLine> = BTreeMap::new();
        let mut instances: BTreeMap<String, InstanceLine> = BTreeMap::new();
        let mut codes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (_, traffic) in answers.all() {
            for (service, one) in &traffic.services {
                for function in &one.functions {
                    let name = function_name(service, &function.function, &function.version);
                    for (code, n) in function.by_code.iter().filter(|(code, _)| *code != "ok") {
                        let of = codes.entry(name.clone()).or_default();
                        *of.entry(code.clone()).or_default() += n;
                    }
                    functions.entry(name).or_default().add(function);
                }
                for instance in &one.instances {
                    let name = format!("{service}/{}", instance.instance);
                    instances.entry(name).or_default().add(instance);
                }
            }
        }
        for breaker in answers.all().flat_map(|(_, traffic)| &traffic.breakers) {
            let (state, name) = (&breaker.state, breaker.name());
            let line = match breaker.kind.as_str() {
                "instance" => instances.get_mut(&name).map(|i| &mut i.breaker),
                _ => functions.get_mut(&name).map(|f| &mut f.breaker),
            };
            if let Some(known) = line.filter(|known| rank(known) < rank(state)) {
                known.clone_from(state);
            }
        }
        let silent = answers.gateways.iter().filter(|said| said.error.is_some());
        let mut view = Self {
            gateways: answers.all().count(),
            silent: silent.map(|said| said.gateway.clone()).collect(),
            functions: named(functions, |line, name| {
                let of = codes.get(&name);
                line.mostly = of
                    .and_then(|of| of.iter().max_by_key(|(_, n)| **n))
                    .map(|(code, _)| code.clone());
                line.name = name;
            }),
            instances: named(instances, |line, name| line.name = name),
        };
        view.order();
        view
    }

    fn order(&mut self) {
        let worse = |a: (u8, f64, f64), b: (u8, f64, f64)| {
            let rates = b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2));
            b.0.cmp(&a.0).then(rates)
        };
        self.functions.sort_by(|a, b| {
            // Failed calls, not their share: one wrong call to nothing is no trouble.
            let key = |f: &FunctionLine| (rank(&f.breaker), f.rate_1m * f.error_rate, f.rate_1m);
            worse(key(a), key(b)).then_with(|| a.name.cmp(&b.name))
        });
        self.instances.sort_by(|a, b| {
            let key = |i: &InstanceLine| (rank(&i.breaker), i.error_rate, i.rate_1m);
            worse(key(a), key(b)).then_with(|| a.name.cmp(&b.name))
        });
    }

    /// Calls per second, and the share that failed in the last minute, of all functions.
    pub(super) fn total(&self) -> (f64, f64) {
        let rate = self.functions.iter().map(|f| f.rate_1s).sum();
        let calls: f64 = self.functions.iter().map(|f| f.rate_1m).sum();
        let failed: f64 = self
            .functions
            .iter()
            .map(|f| f.rate_1m * f.error_rate)
            .sum();
        (rate, if calls > 0.0 { failed / calls } else { 0.0 })
    }

    /// How many breakers let no calls through, or only some.
    pub(super) fn open(&self) -> usize {
        let functions = self.functions.iter().map(|f| &f.breaker);
        let all = functions.chain(self.instances.iter().map(|i| &i.breaker));
        all.filter(|state| rank(state) > 0).count()
    }
}

fn named<T>(all: BTreeMap<String, T>, name: impl Fn(&mut T, String)) -> Vec<T> {
    let one = |(key, mut line): (String, T)| {
        name(&mut line, key);
        line
    };
    all.into_iter().map(one).collect()
}

fn share(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of } else { 0.0 }
}

fn function_name(service: &str, function: &str, version: &Option<String>) -> String {
    match version {
        // Calls to what does not exist stand under one name.
        _ if service == function => service.to_owned(),
        Some(version) => format!("{service}.{function}@{version}"),
        None => format!("{service}.{function}"),
    }
}

impl Breaker {
    fn name(&self) -> String {
        match (&self.instance, &self.function) {
            (Some(instance), _) => format!("{}/{instance}", self.service),
            (None, Some(function)) => function_name(&self.service, function, &self.version),
            (None, None) => self.service.clone(),
        }
    }
}

impl FunctionLine {
    fn add(&mut self, of: &Function) {
        let failed = self.rate_1m * self.error_rate + of.rate_1m * of.error_rate;
        self.calls += of.calls_total;
        self.rate_1s += of.rate_1s;
        self.rate_1m += of.rate_1m;
        self.error_rate = share(failed, self.rate_1m);
        self.p50_ms = self.p50_ms.max(of.p50_ms);
        self.p99_ms = self.p99_ms.max(of.p99_ms);
        self.in_flight += of.in_flight;
        if self.breaker.is_empty() {
            "closed".clone_into(&mut self.breaker);
        }
    }
}

impl InstanceLine {
    fn add(&mut self, of: &Instance) {
        let failed = self.rate_1m * self.error_rate + of.rate_1m * of.error_rate;
        self.calls += of.calls;
        self.errors += of.errors;
        self.rate_1m += of.rate_1m;
        self.error_rate = share(failed, self.rate_1m);
        if self.state.is_empty() || self.state == "ready" {
            self.state.clone_from(&of.state);
        }
        self.p50_ms = self.p50_ms.max(of.p50_ms);
        self.p99_ms = self.p99_ms.max(of.p99_ms);
        self.in_flight += of.in_flight;
        self.capacity = self.capacity.max(of.capacity);
        if self.breaker.is_empty() {
            "closed".clone_into(&mut self.breaker);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Two gateways, a worker of which one instance fails.
    pub(in crate::cli) fn answers(errors: u64) -> Answers<Traffic> {
        let gateway = |id: &str| {
            json!({"gateway": id, "answer": {
                "services": {"demo": {
                    "functions": [
                        {"function": "calm", "version": null, "calls_total": 10, "rate_1s": 5.0,
                         "rate_1m": 5.0, "error_rate": 0.0, "p50_ms": 1.0, "p99_ms": 2.0,
                         "in_flight": 1, "by_code": {"ok": 300}},
                        {"function": "echo", "version": "1.0.0", "calls_total": 20,
                         "rate_1s": 2.0, "rate_1m": 1.0, "error_rate": 0.5, "p50_ms": 1.0,
                         "p99_ms": 9.0, "in_flight": 0,
                         "by_code": {"ok": 30, "worker_error": 20, "timeout": 10}},
                    ],
                    "instances": [
                        {"instance": "good", "state": "ready", "rate_1m": 2.0, "error_rate": 0.0,
                         "calls": 100, "errors": 0, "in_flight": 1,
                         "reported_in_flight": 2, "capacity": 64, "p50_ms": 1.0, "p99_ms": 2.0},
                        {"instance": "bad", "state": if id == "a" { "ready" } else { "drained" },
                         "rate_1m": if id == "a" { 3.0 } else { 1.0 },
                         "error_rate": if id == "a" { 0.0 } else { errors as f64 / 100.0 },
                         "calls": 100, "errors": errors, "in_flight": 0,
                         "reported_in_flight": 0, "capacity": 64, "p50_ms": 1.0, "p99_ms": 2.0},
                    ],
                }},
                "breakers": [
                    {"kind": "instance", "service": "demo", "instance": "bad",
                     "state": if id == "a" { "open" } else { "half_open" },
                     "failures": 0, "retry_after_ms": 900},
                ],
            }})
        };
        let silent = json!({"gateway": "c", "error": "no answer within 2s"});
        let all = json!({ "gateways": [gateway("a"), gateway("b"), silent] });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn gateways_are_added_up_and_the_worst_comes_first() {
        let view = View::of(&answers(40));
        assert_eq!(
            (view.gateways, view.silent.as_slice()),
            (2, &["c".to_owned()][..])
        );
        let first = &view.functions[0];
        assert_eq!(first.name, "demo.echo@1.0.0");
        assert_eq!((first.calls, first.error_rate), (40, 0.5));
        assert_eq!(first.mostly.as_deref(), Some("worker_error"));
        let bad = &view.instances[0];
        assert_eq!(
            (bad.name.as_str(), bad.breaker.as_str()),
            ("demo/bad", "open")
        );
        assert_eq!((bad.calls, bad.errors), (200, 80));
        // Of the last minute: 40 % of one call a second, and none of three.
        assert_eq!((bad.rate_1m, bad.error_rate), (4.0, 0.1));
        assert_eq!(bad.state, "drained");
        let (rate, failed) = view.total();
        assert!((rate - 14.0).abs() < 1e-9 && (failed - 1.0 / 12.0).abs() < 1e-9);
        assert_eq!(view.open(), 1);
    }
}
