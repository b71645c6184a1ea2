//! What follows a failed attempt: bookkeeping around the rule in [`crate::dispatch::retry`].

use std::time::Duration;

use sluice_protocol::retry::{RetryMode, backoff};
use sluice_protocol::{CallError, Executed};
use tokio::time::Instant;

use super::Exchange;
use crate::dispatch::attempt::Attempt;
use crate::dispatch::retry::{Chances, Failure, Step, next_step};
use crate::telemetry::names::Series;

impl Exchange {
    /// Decides what follows a failure: `Ok` to go on with another attempt.
    pub(super) fn after(&mut self, failure: Failure) -> Result<(), CallError> {
        let failure = match failure {
            // The client has seen items: it must hear that the stream broke, not that it may retry.
            Failure::Lost | Failure::Reconnected if self.started() => {
                Failure::StreamLost("the worker or the connection to it is gone".to_owned())
            }
            other => other,
        };
        let breaker_is_open =
            self.admitted.probe.is_none() && !self.call.function().breaker.is_closed();
        // A broken connection is not the instance's fault: its keys stay with it.
        let tried = self.attempt.as_ref().and_then(Attempt::tried);
        if let Some(tried) = tried.filter(|_| failure != Failure::Reconnected) {
            self.tried.push(tried.clone());
        }
        // Time has passed; instances may have come and gone.
        self.call.refresh(&self.context.registry.snapshot());
        let chances = Chances {
            retries: self.retries_left,
            elsewhere: self.elsewhere_left > 0
                && self.selection().has_more()
                && self.knows_who_refused(&failure),
            idempotent: self.call.is_idempotent(),
            started: self.started(),
        };
        let mut step = next_step(&failure, chances);
        let wait = match step {
            Step::Retry => backoff(self.retries_used() + 1, rand::random_range(0.5..1.5)),
            Step::Elsewhere | Step::GiveUp => Duration::ZERO,
        };
        let not_before = Instant::now() + wait;
        // No time is left for another attempt, or the function has failed for so many others
        // meanwhile that one more would only add to its load.
        if not_before >= self.deadline || (step == Step::Retry && breaker_is_open) {
            step = Step::GiveUp;
        }
        self.went_wrong(&failure, step == Step::GiveUp);
        self.context.recorder.attempt_failed(&failure, step);
        if let Some(attempt) = &mut self.attempt {
            attempt.ended(failure.name());
        }
        self.tell_failure(&failure, &step, wait);
        tracing::debug!(
            ?failure,
            ?step,
            call = self.call_id,
            attempts = self.attempts,
            "attempt failed"
        );
        if step == Step::GiveUp {
            let ended = matches!(
                failure,
                Failure::NoResponders | Failure::Worker(_) | Failure::Overloaded(_) | Failure::Lost
            );
            if ended {
                self.done = true;
            }
            self.give_up("failed");
            self.tell_if_exhausted(&failure);
            let mut error = failure.into_error(self.call.spec(), self.attempts);
            if self.may_have_run && error.executed == Executed::No {
                error.executed = Executed::Unknown;
                error.can_retry &= self.call.is_idempotent();
                error.message += "; an earlier attempt may have run";
            }
            return Err(error);
        }
        self.may_have_run |= match &failure {
            Failure::AttemptTimeout | Failure::Lost | Failure::Reconnected => true,
            Failure::Worker(error) | Failure::Overloaded(error) => error.executed != Executed::No,
            _ => false,
        };
        self.not_before = Some(not_before);
        self.prepare(step, &failure);
        Ok(())
    }

    /// Once for each call whose retries did not help.
    fn tell_if_exhausted(&self, failure: &Failure) {
        if self.retries_left == 0 && self.retries_used() > 0 {
            self.context.recorder.inc(Series::RetriesExhausted);
            tracing::warn!(
                function = self.call.spec().label(),
                request_id = %self.call.request_id(),
                attempts = self.attempts,
                ?failure,
                "all retries are exhausted"
            );
        }
    }

    fn retries_used(&self) -> u32 {
        let retry = self.call.spec().retry;
        retry.map_or(0, |r| r.attempts - self.retries_left)
    }

    /// After a refusal by the queue group nobody in particular has been tried; only workers that
    /// say who they are can be passed over.
    fn knows_who_refused(&self, failure: &Failure) -> bool {
        match failure {
            // The whole group is away, whatever the registry still believes.
            Failure::NoResponders => !self.tried.is_empty(),
            _ => true,
        }
    }

    fn prepare(&mut self, step: Step, failure: &Failure) {
        let last = self.attempt.take();
        if step == Step::Elsewhere {
            self.elsewhere_left -= 1;
            self.same_node = None;
        }
        if step == Step::Retry {
            self.elsewhere_left = self.variant().instances.len();
            self.retries_left -= 1;
            let retry = self.call.spec().retry;
            if retry.is_some_and(|r| r.mode == RetryMode::SameNode) {
                self.same_node = last.as_ref().and_then(|a| a.tried().cloned());
            }
            if !self.selection().has_more() {
                // Everybody had a turn: begin again.
                self.tried.clear();
            }
        }
        // Whoever may still work on it shall stop.
        if let (Some(attempt), Failure::AttemptTimeout | Failure::Reconnected | Failure::Lost) =
            (last, failure)
        {
            self.cancel(attempt, "superseded");
        }
        // A cancel hits all that has its call's id: it must not hit the next attempt.
        self.call_id = crate::random::text::<16>();
    }
}
