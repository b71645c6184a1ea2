//! What is told of single calls: the access log, and the span of a call that is traced.

use std::time::Duration;

use sluice_protocol::RequestId;
use sluice_telemetry::Span;

use super::function_stats::Outcome;
use crate::pipeline::Call;
use crate::registry::snapshot::Function;

/// Whose lines are those of the access log.
const TARGET: &str = "sluice::access";

/// Kept of a call only where somebody wants to hear of it.
#[derive(Debug)]
pub(super) struct Details {
    request_id: RequestId,
    service: String,
    function: String,
    version: Option<String>,
    info: bool,
    span: Option<Span>,
}

impl Details {
    /// `None`: the call is neither logged nor traced.
    pub(super) fn of(call: &Call, info: bool, span: Option<Span>) -> Option<Box<Self>> {
        let is_logged = match info {
            true => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            false => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
        };
        if !is_logged && span.is_none() {
            return None;
        }
        Some(Box::new(Self {
            request_id: call.request_id.clone(),
            service: call.service.to_string(),
            function: call.request_type.to_string(),
            version: call.version.clone(),
            info,
            span,
        }))
    }

    /// Its function is known, and so the version that serves it.
    pub(super) fn resolved(&mut self, function: &Function) {
        self.version = function.version.as_ref().map(ToString::to_string);
        self.event("resolved");
    }

    /// A stage is passed.
    pub(super) fn event(&mut self, stage: &'static str) {
        if let Some(span) = &mut self.span {
            span.event(stage);
        }
    }

    /// The call has ended.
    pub(super) fn end(mut self: Box<Self>, outcome: Outcome, took: Duration) {
        let outcome_text = outcome.as_str();
        if let Some(mut span) = self.span.take() {
            span.set("service", self.service.clone());
            span.set("function", self.function.clone());
            if let Some(version) = &self.version {
                span.set("version", version.clone());
            }
            span.set("request_id", self.request_id.to_string());
            span.set("outcome", outcome_text);
            if outcome != Outcome::OK {
                span.fail(outcome_text);
            }
        }
        let Self {
            request_id,
            service,
            function,
            version,
            info,
            ..
        } = *self;
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: TARGET,
                    %request_id,
                    service,
                    function,
                    version,
                    outcome = outcome_text,
                    duration_us,
                    "call"
                )
            };
        }
        if info { line!(info) } else { line!(debug) }
    }
}
