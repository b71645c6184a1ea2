//! Asks hooks and permission callbacks, on behalf of the stages that need their answers.
//!
//! Such a call goes to dispatch by a way of its own: no permission, no hook and no limit applies
//! to it, so that a hook whose function names hooks cannot go round for ever.

mod after;
mod answer;
mod before;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sluice_protocol::function::{Callback, FunctionSpec};
use sluice_protocol::payload::{Encoding, Payload};
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode, Executed};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(super) use self::after::After;
pub(super) use self::answer::Permits;
pub(super) use self::before::{Hooked, before};
use super::resolve::Resolved;
use super::{Call, Limits, resolve, validate};
use crate::dispatch::Dispatcher;
use crate::hooks::{Callbacks, Phase, Question, unambiguous};
use crate::registry::Registry;
use crate::reply::Reply;
use crate::telemetry::names::Series;

/// Most after hooks of one shard that run behind the back of their callers.
const BACKGROUND: usize = 1024;

/// What is needed to ask. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Hooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
    callbacks: Arc<Callbacks>,
    limits: Limits,
    background: Arc<Semaphore>,
}

impl Hooks {
    pub(super) fn new(
        registry: Arc<Registry>,
        dispatcher: Dispatcher,
        callbacks: Arc<Callbacks>,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Inner {
            registry,
            dispatcher,
            callbacks,
            limits,
            background: Arc::new(Semaphore::new(BACKGROUND)),
        }))
    }

    /// Resolves when no after hook runs in the background.
    pub(super) async fn settled(&self) {
        // All permits: nobody holds one.
        let _ = self.0.background.acquire_many(BACKGROUND as u32).await;
    }

    fn inc(&self, series: Series) {
        self.0.dispatcher.recorder().inc(series);
    }

    /// Asks `whom`, until `deadline` at the latest. The answer is JSON.
    async fn ask(
        &self,
        whom: &Callback,
        question: Question,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Payload, CallError> {
        let (began, phase) = (Instant::now(), question.phase);
        let answer = self.ask_either(whom, question, trace, deadline).await;
        let meters = &self.0.dispatcher.recorder().meters;
        meters.hooks[phase as usize].record(began.elapsed());
        answer
    }

    async fn ask_either(
        &self,
        whom: &Callback,
        question: Question,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Payload, CallError> {
        let embedded = self.0.callbacks.get(&whom.service, &whom.request_type);
        let Some(callback) = embedded else {
            return self.ask_worker(whom, question, trace, deadline).await;
        };
        // A panic of foreign code is its own: the question stays unanswered.
        let answer = AssertUnwindSafe(async { callback.ask(question).await }).catch_unwind();
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer.map(|value| Payload::json(value.to_string())),
            Ok(Err(_)) => Err(failed(ErrorCode::Internal, "it panicked")),
            Err(_) => Err(failed(ErrorCode::Timeout, "it did not answer in time")),
        }
    }

    async fn ask_worker(
        &self,
        whom: &Callback,
        question: Question,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Payload, CallError> {
        let call = Call {
            trace,
            ..Call::new(
                question.request_id.clone(),
                whom.service.clone(),
                whom.request_type.clone(),
                question.to_args(),
                question.identity,
            )
        };
        let inner = &self.0;
        let snapshot = inner.registry.snapshot();
        let call = resolve::resolve_callback(&snapshot, Box::new(call), inner.limits)?;
        let call = validate::validate_callback(call, deadline)?;
        match inner.dispatcher.send(call).await? {
            Reply::Result(answer) => Ok(answer),
            Reply::Accepted | Reply::Async(_) | Reply::Stream(_) => {
                Err(failed(ErrorCode::Internal, "it is no sync function"))
            }
        }
    }

    /// Asks the permission callback of a call. Whatever is not exactly `true` is no.
    pub(super) async fn permits(&self, call: &Resolved, callback: &Callback) -> Permits {
        let spec = call.spec();
        let Ok(question) = question(call, Phase::Permission, callback) else {
            return Permits::No;
        };
        let deadline = hook_deadline(spec, call.first_by());
        let trace = call.call.trace.clone();
        let answer = self.ask(callback, question, trace, deadline).await;
        let permits = Permits::of(&answer);
        match &answer {
            Ok(_) if permits == Permits::Yes => self.inc(Series::PermissionAllowed),
            Ok(_) => {
                self.inc(Series::PermissionDenied);
                tracing::debug!(function = spec.label(), callback = %name(callback), "permission callback denied");
            }
            Err(error) => {
                self.inc(Series::PermissionFailed);
                tracing::warn!(function = spec.label(), callback = %name(callback), %error, "permission callback failed: denied");
            }
        }
        permits
    }
}

/// Why there is nothing to ask about a call.
#[derive(Debug)]
enum NoQuestion {
    /// Its args are not one object.
    Malformed,
    /// They have no JSON form.
    NoJson,
    /// A key stands twice in one object; which.
    Ambiguous(String),
}

/// The question about a call.
fn question(call: &Resolved, phase: Phase, callback: &Callback) -> Result<Question, NoQuestion> {
    let args = told_args(&call.call.args)?;
    let question = unchecked(call, phase, callback);
    Ok(Question { args, ..question })
}

/// The question about a call, its args as they came: not to be asked yet.
fn unchecked(call: &Resolved, phase: Phase, callback: &Callback) -> Question {
    Question {
        phase,
        request_id: call.call.request_id.clone(),
        service: call.function.service.clone(),
        request_type: call.function.request_type.clone(),
        version: call.function.version.clone(),
        identity: call.call.identity.clone(),
        args: call.call.args.clone(),
        http: call.call.http.clone(),
        response: None,
        extra: callback.extra.clone(),
    }
}

/// Args as a question tells them.
fn told_args(args: &Payload) -> Result<Payload, NoQuestion> {
    // They are spliced into the question, so they must be one object and nothing behind it.
    let args =
        sluice_protocol::argument::check(None, args.clone()).map_err(|_| NoQuestion::Malformed)?;
    let args = args.into_payload().transcode(Encoding::Json);
    let args = args.map_err(|_| NoQuestion::NoJson)?;
    unambiguous::check(&args.bytes).map_err(NoQuestion::Ambiguous)?;
    Ok(args)
}

/// Until when a hook may take: its own time, but never longer than its call has.
fn hook_deadline(spec: &FunctionSpec, deadline: Instant) -> Instant {
    deadline.min(Instant::now() + Duration::from_millis(spec.hook_timeout_ms))
}

pub(super) fn name(callback: &Callback) -> String {
    format!("{}.{}", callback.service, callback.request_type)
}

fn failed(code: ErrorCode, why: &str) -> CallError {
    CallError::new(code, why).with_executed(Executed::Unknown, false)
}

#[cfg(test)]
mod tests;
