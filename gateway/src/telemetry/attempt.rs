//! The record of one attempt: a message sent to a worker, until its end.

use std::sync::Arc;

use sluice_protocol::trace::TraceContext;
use sluice_telemetry::Span;
use tokio::time::Instant;

use super::names::Series;
use super::{Recorder, spans};
use crate::dispatch::retry::{Failure, Step};
use crate::dispatch::select::Target;
use crate::pipeline::Ready;
use crate::registry::snapshot::Instance;

/// One attempt, until it ends or is dropped: then it was given up.
#[derive(Debug)]
pub(crate) struct AttemptRecord {
    started: Instant,
    ended: bool,
    // Boxed: most attempts have none, and it would make each of them larger.
    span: Option<Box<Span>>,
}

impl AttemptRecord {
    /// An attempt goes out.
    pub(crate) fn begin(
        recorder: &Arc<Recorder>,
        target: &Target,
        call: &Ready,
        number: u32,
        now: Instant,
    ) -> Self {
        let (series, selection) = match target {
            Target::Group => (Series::AttemptGroup, "group"),
            Target::Instance(_) => (Series::AttemptInstance, "instance"),
            Target::Fixed(_) => (Series::AttemptFixed, "fixed"),
        };
        recorder.inc(series);
        Self {
            started: now,
            ended: false,
            span: recorder
                .follow(spans::DISPATCH_NATS.name, call.trace())
                .map(|mut span| {
                    span.set("messaging.system", "nats");
                    span.set("service", call.function().service.to_string());
                    span.set("function", call.function().request_type.to_string());
                    if let Some(version) = &call.function().version {
                        span.set("version", version.to_string());
                    }
                    span.set("request_id", call.request_id().to_string());
                    span.set("attempt", i64::from(number));
                    span.set("selection", selection);
                    Box::new(span)
                }),
        }
    }

    /// What the worker names as its parent, if the attempt has a span.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.span.as_deref().map(Span::context)
    }

    /// It ended, with `ok` or how it failed; `holder` if it is known who had it.
    pub(crate) fn end(&mut self, outcome: &'static str, holder: Option<&Instance>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(holder) = holder {
            holder.stats.ended(outcome == OK, self.started.elapsed());
        }
        if let Some(mut span) = self.span.take() {
            if let Some(holder) = holder {
                span.set("instance", holder.id.to_string());
            }
            span.set("outcome", outcome);
            if outcome != OK {
                span.fail(outcome);
            }
        }
    }
}

/// The outcome of an attempt that succeeded.
pub(crate) const OK: &str = "ok";

/// How a failure is called, and where it is counted.
fn of(failure: &Failure) -> (&'static str, Series) {
    match failure {
        Failure::NoResponders => ("no_responders", Series::FailedNoResponders),
        Failure::CircuitOpen(_) => ("circuit_open", Series::FailedCircuitOpen),
        Failure::Overloaded(_) => ("overloaded", Series::FailedOverloaded),
        Failure::Worker(_) => ("worker_error", Series::FailedWorker),
        Failure::AttemptTimeout => ("attempt_timeout", Series::FailedAttemptTimeout),
        Failure::Deadline => ("deadline", Series::FailedDeadline),
        Failure::Lost => ("worker_lost", Series::FailedLost),
        Failure::StreamLost(_) => ("stream_lost", Series::FailedStreamLost),
        Failure::Reconnected => ("reconnected", Series::FailedReconnected),
        Failure::Protocol(_) => ("protocol", Series::FailedProtocol),
        Failure::BrokerUnavailable => ("broker_unavailable", Series::FailedBroker),
        Failure::Unsendable(_) => ("unsendable", Series::FailedUnsendable),
    }
}

impl Failure {
    /// Its name in spans, logs and metrics.
    pub(crate) fn name(&self) -> &'static str {
        of(self).0
    }
}

impl Recorder {
    /// An attempt failed, and this follows.
    pub(crate) fn attempt_failed(&self, failure: &Failure, step: Step) {
        self.inc(of(failure).1);
        match step {
            Step::Retry => self.inc(Series::RetryLater),
            Step::Elsewhere => self.inc(Series::RetryElsewhere),
            Step::GiveUp => {}
        }
    }
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.end("cancelled", None);
    }
}
