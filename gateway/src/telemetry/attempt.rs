//! The record of one attempt: a message sent to a worker, until its end.

use std::sync::Arc;

use tokio::time::Instant;

use super::Recorder;
use super::names::Series;
use crate::dispatch::retry::{Failure, Step};
use crate::dispatch::select::Target;
use crate::registry::snapshot::Instance;

/// One attempt, until it ends or is dropped: then it was given up.
#[derive(Debug)]
pub(crate) struct AttemptRecord {
    started: Instant,
    ended: bool,
}

impl AttemptRecord {
    /// An attempt goes out.
    pub(crate) fn begin(recorder: &Arc<Recorder>, target: &Target) -> Self {
        recorder.inc(match target {
            Target::Group => Series::AttemptGroup,
            Target::Instance(_) => Series::AttemptInstance,
            Target::Fixed(_) => Series::AttemptFixed,
        });
        Self {
            started: Instant::now(),
            ended: false,
        }
    }

    /// It ended, with `ok` or how it failed; `holder` if it is known who had it.
    pub(crate) fn end(&mut self, outcome: &'static str, holder: Option<&Instance>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(holder) = holder {
            holder.stats.ended(outcome == OK, self.started.elapsed());
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
