//! Last stage: the after hook hears what came of a call, and may change a sync call's result.
//!
//! Where nothing can be changed any more (errors, async calls, streams), it is asked behind the
//! caller's back: nobody waits for it.

use std::sync::{Arc, OnceLock};

use sluice_protocol::function::{Callback, FunctionSpec};
use sluice_protocol::http::ResponseHead;
use sluice_protocol::payload::Payload;
use sluice_protocol::response::{Answer, Response};
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode};
use tokio::time::Instant;

use super::answer::{AfterAnswer, read_after};
use super::{Hooks, hook_deadline, name, told_args, unchecked};
use crate::hooks::{Phase, Question};
use crate::pipeline::resolve::Resolved;
use crate::reply::Reply;
use crate::telemetry::names::Series;

/// An after hook that waits for the outcome of its call.
#[derive(Debug)]
pub(in crate::pipeline) struct After {
    hooks: Hooks,
    spec: Arc<FunctionSpec>,
    callback: Callback,
    question: Question,
    trace: Option<TraceContext>,
    deadline: Instant,
}

impl After {
    /// The after hook of a call, where its function has one. It knows the args as they came.
    pub(in crate::pipeline) fn of(hooks: &Hooks, call: &Resolved) -> Option<Box<Self>> {
        let callback = call.spec().after_execute.as_ref()?;
        Some(Box::new(Self {
            hooks: hooks.clone(),
            spec: call.variant().spec.clone(),
            callback: callback.clone(),
            question: unchecked(call, Phase::After, callback),
            trace: call.call.trace.clone(),
            deadline: call.deadline(),
        }))
    }

    /// Tells the outcome. The result of a sync call may come back changed.
    pub(in crate::pipeline) async fn finish(
        mut self: Box<Self>,
        outcome: Result<Reply, CallError>,
    ) -> Result<Reply, CallError> {
        // Here, not when the call came: who is refused has no such work done for him.
        match told_args(&self.question.args) {
            Ok(args) => self.question.args = args,
            // Args that are none were refused; there is nothing to tell a hook of them.
            Err(_) => return outcome,
        }
        if self.question.http.is_some() {
            return self.hear(outcome);
        }
        match outcome {
            Ok(Reply::Result(result)) => Ok(Reply::Result(self.change(result).await)),
            Ok(Reply::Accepted) => {
                self.tell(&Answer::AsyncAck);
                Ok(Reply::Accepted)
            }
            Ok(reply) => Ok(reply.when_over(move |answer| match answer {
                Some(answer) => self.tell(answer),
                None => self.tell(&cancelled().into()),
            })),
            Err(error) => {
                self.tell(&error.clone().into());
                Err(error)
            }
        }
    }

    /// Tells what a resource answered, whose response is its own: nothing is changed. Its status
    /// alone is told: a body may be anything, and of any size.
    fn hear(self: Box<Self>, outcome: Result<Reply, CallError>) -> Result<Reply, CallError> {
        let status = Arc::new(OnceLock::new());
        let ended = move |hook: Box<Self>, status: Option<&u16>| {
            let result = serde_json::json!({ "status": status });
            hook.tell(&Answer::Result(Payload::json(result.to_string())));
        };
        match outcome {
            Ok(Reply::Result(message)) => {
                ended(self, status_of(&message).as_ref());
                Ok(Reply::Result(message))
            }
            Ok(reply) => {
                let first = status.clone();
                let reply = reply.changed_by(move |answer| {
                    if let Answer::Item { payload, .. } = &answer
                        && let Some(status) = status_of(payload)
                    {
                        // Only the first piece has a head.
                        let _ = first.set(status);
                    }
                    answer
                });
                Ok(reply.when_over(move |answer| match answer {
                    Some(Answer::Error(error)) => self.tell(&(**error).clone().into()),
                    Some(_) => ended(self, status.get()),
                    None => self.tell(&cancelled().into()),
                }))
            }
            Err(error) => {
                self.tell(&error.clone().into());
                Err(error)
            }
        }
    }

    async fn change(mut self: Box<Self>, result: Payload) -> Payload {
        let encoding = result.encoding;
        let answer = Answer::Result(result.clone());
        if !self.set_response(&answer) {
            return result;
        }
        let deadline = hook_deadline(&self.spec, self.deadline);
        match self.ask(deadline).await {
            Some(AfterAnswer::Result(changed)) => match changed.transcode(encoding) {
                Ok(changed) => changed,
                Err(_) => result,
            },
            Some(AfterAnswer::Keep) | None => result,
        }
    }

    /// Asks in the background: the answer changes nothing.
    fn tell(mut self: Box<Self>, answer: &Answer) {
        let Ok(permit) = self.hooks.0.background.clone().try_acquire_owned() else {
            tracing::warn!(
                function = self.spec.label(),
                "too many after hooks run: one was left out"
            );
            return;
        };
        // Answers may be dropped where no runtime is left.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.set_response(answer) {
            return;
        }
        runtime.spawn(async move {
            let _permit = permit;
            let own_time = std::time::Duration::from_millis(self.spec.hook_timeout_ms);
            self.ask(Instant::now() + own_time).await;
        });
    }

    /// Puts the envelope that the client gets into the question.
    fn set_response(&mut self, answer: &Answer) -> bool {
        let response = Response {
            request_id: self.question.request_id.as_str(),
            answer,
        };
        let mut out = Vec::with_capacity(response.size_hint());
        if let Err(error) = response.write_json(&mut out) {
            tracing::warn!(function = self.spec.label(), %error, "the after hook takes JSON: left out");
            return false;
        }
        self.question.response = Some(out.into());
        true
    }

    /// `None`: it failed or answered what is no answer, so all stays as it is.
    async fn ask(self: Box<Self>, deadline: Instant) -> Option<AfterAnswer> {
        let Self {
            hooks,
            spec,
            callback,
            question,
            trace,
            ..
        } = *self;
        let what = match hooks.ask(&callback, question, trace, deadline).await {
            Ok(answer) => match read_after(&answer) {
                Some(answer) => {
                    hooks.inc(Series::HookAfterOk);
                    return Some(answer);
                }
                None => "it answered something that is no answer".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        hooks.inc(Series::HookAfterFailed);
        tracing::warn!(
            function = spec.label(),
            hook = %name(&callback),
            reason = what,
            "after hook failed: the response stays as it is"
        );
        None
    }
}

/// The status of a resource's response, where its head is there.
fn status_of(message: &Payload) -> Option<u16> {
    let (head, _) = message.split_http()?;
    ResponseHead::parse(head).ok().map(|head| head.status)
}

fn cancelled() -> CallError {
    CallError::new(ErrorCode::Cancelled, "the caller gave the call up")
}
