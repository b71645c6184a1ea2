//! What the end of an attempt, and of a call, says to the breakers.
//!
//! An instance's breaker hears of each attempt that it held; a function's of each call's last.

use super::Exchange;
use crate::dispatch::retry::Failure;
use crate::telemetry::names::Series;

impl Exchange {
    /// The worker answered as it should.
    pub(super) fn went_well(&mut self) {
        if let Some(attempt) = &self.attempt {
            let breaker = &self.call.function().breaker;
            breaker.took(attempt.took());
        }
        self.function_outcome(true);
        self.instance_outcome(true);
    }

    /// An attempt failed; `last`: and the call with it.
    pub(super) fn went_wrong(&mut self, failure: &Failure, last: bool) {
        let Some(ok) = self.verdict(failure) else {
            return;
        };
        if last {
            self.function_outcome(ok);
        }
        if ok || self.is_the_instances_fault(failure) {
            self.instance_outcome(ok);
        }
    }

    /// A function that fails wherever it runs is no reason to give an instance up, and with it all
    /// its other functions. One that is gone is.
    fn is_the_instances_fault(&self, failure: &Failure) -> bool {
        let function = &self.call.function().breaker;
        matches!(failure, Failure::Lost) || !function.is_failing(&self.context.breaker)
    }

    /// Whether a failure tells that the worker is well, or that it is not; `None`: neither.
    fn verdict(&self, failure: &Failure) -> Option<bool> {
        match failure {
            // What a function refuses on purpose is an answer like any other.
            Failure::Worker(error) => Some(error.http_status() < 500),
            Failure::AttemptTimeout | Failure::Protocol(_) => Some(false),
            Failure::Deadline => self.had_its_time().then_some(false),
            // The broker's fault is not the worker's.
            Failure::Lost | Failure::StreamLost(_) => (!self.is_cut_off()).then_some(false),
            Failure::NoResponders
            | Failure::CircuitOpen(_)
            | Failure::Overloaded(_)
            | Failure::Reconnected
            | Failure::BrokerUnavailable
            | Failure::Unsendable(_) => None,
        }
    }

    /// Whether the worker had about the time that its function needs, as it says or as its answers
    /// show: clients may ask for less, and hooks use some up, and neither shall open a breaker for
    /// everybody. A probe without a verdict is given back: the next call is one.
    fn had_its_time(&self) -> bool {
        let Some(attempt) = &self.attempt else {
            return false;
        };
        let own = self.call.own_timeout();
        let fair = match self.items {
            0 => self.call.function().breaker.fair_time(own),
            // How long a stream's first item takes tells nothing of the time between items.
            _ => own / 2,
        };
        attempt.started.max(self.waiting_since).elapsed() >= fair
    }

    fn is_cut_off(&self) -> bool {
        let attempt = self.attempt.as_ref();
        !self.context.link.broker.state().connected
            || attempt.is_some_and(super::Attempt::is_cut_off)
    }

    fn function_outcome(&mut self, ok: bool) {
        let options = &self.context.breaker;
        if let Some(probe) = self.admitted.probe.take() {
            if probe.settle(ok, options) {
                self.context.recorder.inc(Series::BreakerFunctionClosed);
                let function = self.call.spec().label();
                tracing::info!(function, "circuit closed: the function is well again");
            }
            return;
        }
        let clock = self.context.link.clock;
        if self.call.function().breaker.record(ok, clock, options) {
            self.context.recorder.inc(Series::BreakerFunctionOpened);
            let function = self.call.spec().label();
            tracing::warn!(function, "circuit opened: the function fails too often");
        }
    }

    fn instance_outcome(&mut self, ok: bool) {
        let options = &self.context.breaker;
        let Some(attempt) = self.attempt.as_mut() else {
            return;
        };
        if let Some(probe) = attempt.probe_of_breaker.take() {
            if probe.settle(ok, options) {
                self.context.recorder.inc(Series::BreakerInstanceClosed);
                if let Some(instance) = &attempt.holder {
                    tracing::info!(
                        service = %instance.service,
                        instance = %instance.id,
                        "circuit closed: the instance is well again"
                    );
                }
            }
            return;
        }
        let Some(instance) = &attempt.holder else {
            return;
        };
        // There are more functions than instances: an instance's breaker opens before those of all
        // the functions that suffer from it.
        let options = options.for_instances();
        if instance
            .breaker
            .record(ok, self.context.link.clock, &options)
        {
            self.context.recorder.inc(Series::BreakerInstanceOpened);
            tracing::warn!(
                service = %instance.service,
                instance = %instance.id,
                "circuit opened: the instance fails too often"
            );
        }
    }
}
