//! The explanation itself: plain data for the admin API, the command line and other gateways.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_protocol::function::{FunctionSpec, ResponseType, Timeout};
use sluice_protocol::{CallError, ErrorCode};

use super::Depth;
use crate::config::BreakerOptions;
use crate::limiter::LimitLook;
use crate::pipeline::Call;
use crate::pipeline::resolve::Resolved;
use crate::registry::snapshot::{Instance, Snapshot};

/// What would happen to a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Of which service.
    pub service: String,
    /// Which function.
    pub request_type: String,
    /// The version that was named.
    pub version: Option<String>,
    /// The version that serves it.
    pub resolved_version: Option<String>,
    /// Whether every stage that could be decided lets it go on.
    pub would_run: bool,
    /// Why not: the first refusal.
    pub refused: Option<Refused>,
    /// The instance that would get it, where that is certain.
    pub would_go_to: Option<String>,
    /// The stages, in order.
    pub steps: Vec<Step>,
    /// All versions that are known, oldest first.
    pub versions: Vec<VersionLook>,
    /// The limits that apply.
    pub limits: Vec<LimitLook>,
    /// The instances that serve the version.
    pub instances: Vec<InstanceLook>,
    /// Instances that an operator has drained: they get no calls.
    #[serde(default)]
    pub drained: Vec<String>,
    /// The function's own breaker.
    pub breaker: Option<BreakerLook>,
    /// The args as a worker would get them, defaults filled in.
    pub args: Option<Value>,
    /// The function as it was registered.
    pub spec: Value,
}

/// A refusal as the client would get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Which stage says it.
    pub stage: String,
    /// Its code.
    pub error_code: String,
    /// Its text.
    pub error: String,
    /// More about it.
    pub details: Option<Value>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub stage: String,
    /// What it does with the call.
    pub outcome: Outcome,
    /// Why.
    pub text: String,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Lets it go on.
    Passes,
    /// Would look at the call.
    Checks,
    /// Would ask a hook or callback, which was not asked.
    Asks,
    /// Refuses it.
    Refuses,
    /// Cannot be said now.
    Unknown,
    /// Comes after a refusal: a real call does not get here.
    NotReached,
}

/// One version of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLook {
    /// Its name; none: the function without version.
    pub version: Option<String>,
    /// It takes no calls.
    pub disabled: bool,
    /// How many instances serve it.
    pub instances: usize,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLook {
    /// Its id.
    pub instance: String,
    /// It may be selected now.
    pub available: bool,
    /// Calls that this gateway has there.
    pub in_flight: u32,
    /// Calls that it takes at once; 0: not told.
    pub capacity: u32,
    /// A moving average of its answers, microseconds.
    pub latency_us: u32,
    /// Its breaker.
    pub breaker: BreakerLook,
}

/// One breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerLook {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Failures that count now.
    pub failures: u64,
    /// Milliseconds until a call may try again; 0: now.
    pub retry_after_ms: u64,
}

impl BreakerLook {
    fn of(breaker: &crate::dispatch::breaker::Breaker, now: u64, options: &BreakerOptions) -> Self {
        let (state, failures, retry_after_ms) = breaker.look(now, options);
        Self {
            state: state.as_str().to_owned(),
            failures,
            retry_after_ms,
        }
    }
}

impl Explanation {
    pub(super) fn of(call: &Call, snapshot: &Snapshot) -> Self {
        let versions = snapshot.services.get(call.service.as_str());
        let versions = versions.and_then(|f| f.get(call.request_type.as_str()));
        let look = |f: &Arc<crate::registry::snapshot::Function>| VersionLook {
            version: f.version.as_ref().map(ToString::to_string),
            disabled: f.disabled,
            instances: f.variants.iter().map(|v| v.instances.len()).sum(),
        };
        Self {
            service: call.service.to_string(),
            request_type: call.request_type.to_string(),
            version: call.version.clone(),
            versions: versions.map_or_else(Vec::new, |f| f.versions.iter().map(look).collect()),
            ..Self::default()
        }
    }

    pub(super) fn resolved(&mut self, call: &Resolved, now: u64, options: &BreakerOptions) {
        self.resolved_version = call.function.version.as_ref().map(ToString::to_string);
        self.spec = call.spec().to_json();
        self.breaker = Some(BreakerLook::of(&call.function.breaker, now, options));
        let look = |i: &Arc<Instance>| InstanceLook {
            instance: i.id.to_string(),
            available: i.is_available(now) && i.breaker.refuses(now).is_none(),
            in_flight: i.in_flight.load(Ordering::Relaxed),
            capacity: i.capacity.load(Ordering::Relaxed),
            latency_us: i.latency_us.load(Ordering::Relaxed),
            breaker: BreakerLook::of(&i.breaker, now, options),
        };
        let all = call.function.variants.iter().flat_map(|v| &v.instances);
        self.instances = all.map(look).collect();
    }

    /// A stage; after a refusal none is reached.
    pub(super) fn step(&mut self, stage: &str, outcome: Outcome, text: String) {
        let outcome = match self.refused {
            Some(_) => Outcome::NotReached,
            None => outcome,
        };
        self.steps.push(Step {
            stage: stage.to_owned(),
            outcome,
            text,
        });
    }

    pub(super) fn pass(&mut self, stage: &str, text: String) {
        self.step(stage, Outcome::Passes, text);
    }

    pub(super) fn checks(&mut self, stage: &str, text: String) {
        self.step(stage, Outcome::Checks, text);
    }

    pub(super) fn refuse(&mut self, stage: &str, error: CallError) {
        self.step(stage, Outcome::Refuses, error.message.to_string());
        if self.refused.is_none() {
            self.refused = Some(Refused {
                stage: stage.to_owned(),
                error_code: error.code_text().to_owned(),
                error: error.message.to_string(),
                details: error.details.map(|d| Value::Object(*d)),
            });
        }
    }

    /// What a stage decides, or, without a call, what it would look at.
    pub(super) fn judge(
        &mut self,
        stage: &str,
        depth: Depth,
        text: String,
        decide: impl FnOnce() -> Result<(), CallError>,
    ) {
        match depth {
            Depth::Function => self.checks(stage, text),
            Depth::Call => match decide() {
                Ok(()) => self.pass(stage, text),
                Err(error) => self.refuse(stage, error),
            },
        }
    }

    pub(super) fn finish(&mut self) {
        self.would_run = self.refused.is_none();
    }
}

pub(super) fn resolved(call: &Resolved) -> String {
    let variants = call.function.variants.len();
    let mixed = match variants {
        0 | 1 => String::new(),
        n => format!("; {n} configs are live (a deploy goes on)"),
    };
    let count: usize = call
        .function
        .variants
        .iter()
        .map(|v| v.instances.len())
        .sum();
    let served = match call.variant().fixed_subject.as_ref() {
        Some(subject) => format!("plain responders on {subject}"),
        None => format!("{count} instances"),
    };
    format!("{}, served by {served}{mixed}", call.spec().label())
}

pub(super) fn permission(spec: &FunctionSpec) -> String {
    match &spec.to_json()["check_permission"] {
        Value::Null | Value::Bool(false) => "anybody may call it".to_owned(),
        rule => format!("check_permission {rule}"),
    }
}

pub(super) fn args(call: &Resolved) -> String {
    match &call.spec().arg_types {
        None => "args are not checked".to_owned(),
        Some(types) if types.0.is_empty() => "no args are allowed".to_owned(),
        Some(types) => format!("args: {}", types.names().collect::<Vec<_>>().join(", ")),
    }
}

pub(super) fn limits(limits: &[LimitLook]) -> String {
    let one = |limit: &LimitLook| {
        let used = limit
            .used
            .map_or_else(String::new, |used| format!("{used} of "));
        let shadow = if limit.shadow { ", only reports" } else { "" };
        let plan = if limit.plan {
            ", only of API keys that name it"
        } else {
            ""
        };
        let (name, key) = (&limit.name, &limit.key);
        let (max, window) = (limit.max_requests, limit.window_ms);
        format!("{name}: {used}{max} in {window} ms by {key}{plan}{shadow}")
    };
    limits.iter().map(one).collect::<Vec<_>>().join("; ")
}

pub(super) fn over(limit: &LimitLook, label: &str) -> CallError {
    let text = format!(
        "{label} is over the limit {:?}: {} of {} in {} ms by {}",
        limit.name,
        limit.used.unwrap_or(0),
        limit.max_requests,
        limit.window_ms,
        limit.key
    );
    CallError::new(ErrorCode::RateLimited, text)
        .with_detail("limit", limit.name.as_str())
        .with_detail("scope", limit.scope.as_str())
}

/// How it is sent: kind, selection, time, attempts.
pub(super) fn dispatch(call: &Resolved) -> String {
    let spec = call.spec();
    let json = spec.to_json();
    let kind = match spec.response_type {
        ResponseType::Sync => "sync",
        ResponseType::Async => "async",
        ResponseType::Stream => "stream",
        ResponseType::None => "none",
    };
    let mode = match &json["choose_node_mode"] {
        Value::Null => "random".to_owned(),
        Value::String(name) => name.clone(),
        other => other.to_string(),
    };
    let own = match spec.timeout {
        Timeout::Millis(ms) => format!("{ms} ms"),
        Timeout::Infinity => "infinity".to_owned(),
    };
    let time = call.frame_timeout().as_millis();
    let retry = match &json["retry"] {
        Value::Null => "no extra attempts".to_owned(),
        retry => format!("extra attempts {retry}"),
    };
    let bound = match (spec.max_in_flight, spec.max_queue) {
        (None, _) => String::new(),
        (Some(max), queue) => {
            let (now, _, waiting) = call.function.bulkhead.look();
            let queue = queue.unwrap_or(0);
            format!("; {now} of {max} in flight, {waiting} of {queue} wait")
        }
    };
    format!("{kind}, selection {mode}, {time} ms (timeout {own}), {retry}{bound}")
}
