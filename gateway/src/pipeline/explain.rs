//! What would happen to a call, without sending it and without counting it.
//!
//! Each stage is asked through the code that decides real calls. What would cost somebody something
//! (hooks, permission callbacks) is not asked, and said to be so; nothing here makes a
//! [`Ready`](super::Ready), so nothing of it can reach dispatch.

mod look;
mod steered;

use std::sync::Arc;

use sluice_protocol::function::{Callback, ChooseNodeMode};
use sluice_protocol::{CallError, Payload};

pub use self::look::{BreakerLook, Explanation, InstanceLook, Outcome, Refused, Step, VersionLook};
use super::resolve::{self, Resolved};
use super::{Call, Limits, authorize, hooks, validate};
use crate::config::{BreakerOptions, Config};
use crate::dispatch::Clock;
use crate::dispatch::select::{Selection, Target};
use crate::hooks::Callbacks;
use crate::limiter::{Asking, Limiter};
use crate::registry::Registry;
use crate::registry::snapshot::Snapshot;
use crate::sticky::memory::MemorySticky;

/// Explains calls. Shares what the pipelines of all shards look at.
#[derive(Debug)]
pub struct Explainer {
    registry: Arc<Registry>,
    limiter: Arc<Limiter>,
    callbacks: Arc<Callbacks>,
    limits: Limits,
    breaker: BreakerOptions,
    clock: Clock,
    default_version: Option<String>,
}

/// What is known of the call that is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Service, function and version: each stage says what it would look at.
    Function,
    /// All of it: each stage says what it decides.
    Call,
}

impl Explainer {
    /// Over what `registry` and `limiter` know; `clock` is the dispatchers'.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        limiter: Arc<Limiter>,
        callbacks: Arc<Callbacks>,
        config: &Config,
        clock: Clock,
    ) -> Self {
        Self {
            registry,
            limiter,
            callbacks,
            limits: Limits::of(config),
            breaker: config.breaker.clone(),
            clock,
            default_version: Some(config.versions.default.clone()).filter(|v| !v.is_empty()),
        }
    }

    /// What would happen to any call of this function, stage by stage.
    pub async fn flow(&self, call: Call) -> Explanation {
        self.walk(call, Depth::Function).await
    }

    /// What would happen to this call, stage by stage.
    pub async fn explain(&self, call: Call) -> Explanation {
        self.walk(call, Depth::Call).await
    }

    async fn walk(&self, mut call: Call, depth: Depth) -> Explanation {
        let snapshot = self.snapshot();
        let mut told = Explanation::of(&call, &snapshot);
        let why = steered::version(&snapshot, &mut call, self.default_version.as_deref());
        let mut resolved = match resolve::find(
            &snapshot,
            Box::new(call),
            self.limits,
            tokio::time::Instant::now(),
        ) {
            Ok(resolved) => resolved,
            Err(error) => {
                told.refuse("resolve", error);
                return told;
            }
        };
        told.resolved(&resolved, self.clock.now_ms(), &self.breaker);
        told.drained = self.drained(&resolved).await;
        match resolve::open(&snapshot, &resolved) {
            Ok(()) => {
                let why = why.map_or_else(String::new, |why| format!("; {why}"));
                told.pass("resolve", format!("{}{why}", look::resolved(&resolved)));
            }
            Err(error) => told.refuse("resolve", error),
        }
        Self::deprecated(&mut told, &resolved);
        self.callers(&mut told, &mut resolved, &snapshot, depth);
        self.limit(&mut told, &resolved, depth).await;
        match depth {
            Depth::Function => told.checks("validate", look::args(&resolved)),
            Depth::Call => {
                let args = validate::checked(&resolved, resolved.call.args.clone());
                match args {
                    Ok(args) => {
                        told.pass("validate", look::args(&resolved));
                        told.args = serde_json::from_slice(&args.bytes).ok();
                    }
                    Err(error) => told.refuse("validate", error),
                }
            }
        }
        self.dispatch(&mut told, &resolved, depth).await;
        if steered::translation(&resolved).is_some() && resolved.translated_by_worker().is_none() {
            let text = "answers go back through the same changes".to_owned();
            told.step("translate back", Outcome::Passes, text);
        }
        if let Some(callback) = &resolved.spec().after_execute {
            let text = self.asked(callback, &snapshot);
            told.step("after hook", Outcome::Asks, text);
        }
        told.finish();
        told
    }

    /// The stages that decide by who calls, rules, hook, callback, and the version's own in between.
    fn callers(
        &self,
        told: &mut Explanation,
        call: &mut Resolved,
        snapshot: &Snapshot,
        depth: Depth,
    ) {
        let spec = Arc::clone(&call.variant().spec);
        let rule = look::permission(&spec);
        let callback = spec.permission_callback.as_ref();
        let reads_args = spec.check_permission.reads_args();
        if callback.is_none() && !reads_args {
            told.judge("admit", depth, rule.clone(), || authorize::admits(call));
        }
        Self::in_its_version(told, call, depth);
        if let Some(hook) = &spec.before_execute {
            let text = self.asked(hook, snapshot);
            told.step("before hook", Outcome::Asks, text);
        }
        Self::climb(told, call, depth);
        if let Some(callback) = callback {
            let text = self.asked(callback, snapshot);
            told.step("authorize", Outcome::Asks, text);
        } else if reads_args {
            told.judge("authorize", depth, rule, || authorize::permits(call));
        }
    }

    /// Whom a hook asks, and whether somebody would answer.
    fn asked(&self, callback: &Callback, snapshot: &Snapshot) -> String {
        let name = hooks::name(callback);
        let (service, function) = (&callback.service, &callback.request_type);
        if self.callbacks.get(service, function).is_some() {
            return format!(
                "{name}, a function of the program that embeds the gateway; not asked here"
            );
        }
        match snapshot.resolve(service.as_str(), function.as_str(), None) {
            Ok(found) if found.disabled => format!("{name}, which is disabled: it would refuse"),
            Ok(found) if found.is_served() => {
                let count: usize = found.variants.iter().map(|v| v.instances.len()).sum();
                format!("{name}, served by {count} instances; not asked here")
            }
            Ok(_) => format!("{name}, which no worker serves now: it could not be asked"),
            Err(_) => format!("{name}, which is not known here: it could not be asked"),
        }
    }

    async fn limit(&self, told: &mut Explanation, call: &Resolved, depth: Depth) {
        let asked = &call.call;
        let (service, function) = (asked.service.as_str(), asked.request_type.as_str());
        told.limits = self.limiter.of(service, function);
        if told.limits.is_empty() {
            told.step("limit", Outcome::Passes, "no limit applies".to_owned());
            return;
        }
        if depth == Depth::Function {
            told.checks("limit", look::limits(&told.limits));
            return;
        }
        let asking = Asking {
            service,
            function,
            identity: &asked.identity,
            caller: &asked.caller,
            args: call.counted_args(),
        };
        match self.limiter.peek(&asking).await {
            Ok(limits) if limits.is_empty() => {
                told.limits = limits;
                told.pass("limit", "no limit counts this caller".to_owned());
            }
            Ok(limits) => {
                told.limits = limits;
                let over = told
                    .limits
                    .iter()
                    .find(|l| l.admits == Some(false) && !l.shadow);
                match over.map(|limit| look::over(limit, &call.spec().label())) {
                    Some(error) => told.refuse("limit", error),
                    None => told.pass("limit", look::limits(&told.limits)),
                }
            }
            Err(away) => told.step("limit", Outcome::Unknown, away),
        }
    }

    async fn dispatch(&self, told: &mut Explanation, call: &Resolved, depth: Depth) {
        let text = look::dispatch(call);
        if let Some(wait) = call.function.breaker.refuses(self.clock.now_ms()) {
            let label = call.spec().label();
            let error = crate::dispatch::retry::circuit_open(&label, wait);
            told.refuse("dispatch", error);
            return;
        }
        if depth == Depth::Function {
            told.checks("dispatch", text);
            return;
        }
        match self.pick(call).await {
            Ok(Some(instance)) => {
                let text = format!("{text}; to instance {instance}");
                told.would_go_to = Some(instance);
                told.pass("dispatch", text);
            }
            Ok(None) => told.pass("dispatch", text),
            Err(error) => told.refuse("dispatch", error),
        }
    }

    /// The instance that would get it, where that is certain before it is sent.
    async fn pick(&self, call: &Resolved) -> Result<Option<String>, CallError> {
        let variant = call.variant();
        let args: &Payload = &call.call.args;
        let now_ms = self.clock.now_ms();
        let selection = Selection {
            function: &call.function,
            variant,
            request_id: call.call.request_id.as_str(),
            args,
            identity: &call.call.identity,
            tried: &[],
            clock: self.clock,
            custom: None,
        };
        let mode = &variant.spec.choose_node_mode;
        let is_certain = matches!(mode, ChooseNodeMode::Hash | ChooseNodeMode::HashArg(_));
        if variant.fixed_subject.is_none() && !variant.instances.is_empty() {
            let waits: Vec<u64> = variant
                .instances
                .iter()
                .filter_map(|i| i.breaker.refuses(now_ms))
                .collect();
            if waits.len() == variant.instances.len() {
                let wait = waits.into_iter().min().unwrap_or(0);
                return Err(crate::dispatch::retry::circuit_open(
                    &call.spec().label(),
                    wait,
                ));
            }
        }
        if !is_certain {
            return Ok(None);
        }
        // Hashing asks no store.
        let none = MemorySticky::new(std::time::Duration::from_secs(1), 1);
        Ok(match selection.pick(&none).await {
            Ok(Target::Instance(instance)) => Some(instance.id.to_string()),
            _ => None,
        })
    }
}
