//! What follows a failed attempt: another one, or the error.

use sluice_protocol::function::FunctionSpec;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Executed};

/// How an attempt ended without an answer to pass on.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Nobody listens where it was sent: it did not run.
    NoResponders,
    /// The breakers of all who could take it are open: it was not sent. Milliseconds until one of
    /// them lets a call try.
    CircuitOpen(u64),
    /// The worker is full: it did not run.
    Overloaded(Box<CallError>),
    /// The function answered with an error.
    Worker(Box<CallError>),
    /// The attempt's own time is up.
    AttemptTimeout,
    /// The deadline is reached.
    Deadline,
    /// Whoever held the call is gone.
    Lost,
    /// The connection to the broker broke, and the call may be sent again.
    Reconnected,
    /// There is no connection to the broker: it was not sent.
    BrokerUnavailable,
    /// The worker's replies make no sense.
    Protocol(String),
    /// The stream broke after items had arrived.
    StreamLost(String),
    /// The call cannot be sent at all.
    Unsendable(Box<CallError>),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another instance, now; does not use up a retry.
    Elsewhere,
    /// Use up one retry, after the back-off.
    Retry,
    /// Tell the caller.
    GiveUp,
}

/// What is left to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chances {
    /// Retries that the function's `retry` still allows.
    pub retries: u32,
    /// Whether an instance is left that has not been tried.
    pub elsewhere: bool,
    /// Whether the function may run twice.
    pub idempotent: bool,
    /// Whether the client has seen a part of the answer.
    pub started: bool,
}

/// The rule. A call that may have run is sent again only where `retry` is set or the function is
/// idempotent; one that certainly did not run goes elsewhere at once.
#[must_use]
pub fn next_step(failure: &Failure, chances: Chances) -> Step {
    if chances.started {
        return Step::GiveUp;
    }
    let retry = if chances.retries > 0 {
        Step::Retry
    } else {
        Step::GiveUp
    };
    let elsewhere = |otherwise| {
        if chances.elsewhere {
            Step::Elsewhere
        } else {
            otherwise
        }
    };
    match failure {
        Failure::NoResponders | Failure::Overloaded(_) => elsewhere(retry),
        // Selection has passed over whoever is open: there is nobody else.
        Failure::CircuitOpen(_) => retry,
        Failure::Worker(error) if error.can_retry => retry,
        Failure::AttemptTimeout | Failure::Lost | Failure::Reconnected => {
            if chances.idempotent {
                elsewhere(retry)
            } else {
                retry
            }
        }
        Failure::BrokerUnavailable
        | Failure::Worker(_)
        | Failure::Deadline
        | Failure::Protocol(_)
        | Failure::StreamLost(_)
        | Failure::Unsendable(_) => Step::GiveUp,
    }
}

impl Failure {
    /// The error that the caller gets.
    #[must_use]
    pub fn into_error(self, spec: &FunctionSpec, attempts: u32) -> CallError {
        let function = spec.label();
        let unknown = |code, text: String| {
            CallError::new(code, text).with_executed(Executed::Unknown, spec.idempotent)
        };
        let error = match self {
            Self::NoResponders => CallError::new(
                ErrorCode::NoWorkers,
                format!("no worker serves {function} now; it did not run"),
            ),
            Self::CircuitOpen(wait_ms) => circuit_open(&function, wait_ms),
            Self::BrokerUnavailable => CallError::new(
                ErrorCode::BrokerUnavailable,
                format!("the gateway has no connection to the broker; {function} did not run"),
            ),
            Self::Overloaded(error) | Self::Worker(error) => *error,
            Self::Unsendable(error) => *error,
            Self::Deadline | Self::AttemptTimeout => unknown(
                ErrorCode::Timeout,
                format!("{function} did not answer in time; whether it ran is unknown"),
            ),
            Self::Lost | Self::Reconnected => unknown(
                ErrorCode::WorkerLost,
                format!("the worker that held {function} is gone; whether it ran is unknown"),
            ),
            Self::Protocol(reason) => CallError::new(
                ErrorCode::WorkerError,
                format!("the worker of {function} answered against the protocol: {reason}"),
            )
            .with_source(ErrorSource::Worker)
            .with_executed(Executed::Unknown, spec.idempotent),
            Self::StreamLost(reason) => unknown(
                ErrorCode::StreamLost,
                format!("the stream of {function} broke: {reason}"),
            ),
        };
        if attempts > 1 {
            error.with_detail("attempts", attempts)
        } else {
            error
        }
    }
}

/// The refusal of a breaker: the call was not sent.
pub(crate) fn circuit_open(function: &str, wait_ms: u64) -> CallError {
    let text = format!(
        "{function} has failed too often of late, so it was not called; try again in {wait_ms} ms"
    );
    CallError::new(ErrorCode::CircuitOpen, text).with_detail("retry_after_ms", wait_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Chances = Chances {
        retries: 0,
        elsewhere: false,
        idempotent: false,
        started: false,
    };

    #[test]
    fn the_rule_as_a_table() {
        let overloaded =
            || Failure::Overloaded(Box::new(CallError::new(ErrorCode::Overloaded, "")));
        let worker = |can_retry| {
            let mut error = CallError::new(ErrorCode::WorkerError, "");
            error.can_retry = can_retry;
            Failure::Worker(Box::new(error))
        };
        let retries = Chances { retries: 1, ..NONE };
        let elsewhere = Chances {
            elsewhere: true,
            ..NONE
        };
        let idempotent = Chances {
            elsewhere: true,
            idempotent: true,
            ..NONE
        };
        let started = Chances {
            retries: 1,
            elsewhere: true,
            idempotent: true,
            started: true,
        };
        for (failure, chances, step) in [
            (Failure::CircuitOpen(1), elsewhere, Step::GiveUp),
            (Failure::CircuitOpen(1), retries, Step::Retry),
            (Failure::NoResponders, NONE, Step::GiveUp),
            (Failure::NoResponders, elsewhere, Step::Elsewhere),
            (Failure::NoResponders, retries, Step::Retry),
            (overloaded(), elsewhere, Step::Elsewhere),
            (overloaded(), retries, Step::Retry),
            (worker(false), retries, Step::GiveUp),
            (worker(true), retries, Step::Retry),
            (worker(true), elsewhere, Step::GiveUp),
            (Failure::Lost, NONE, Step::GiveUp),
            (Failure::Lost, elsewhere, Step::GiveUp),
            (Failure::Lost, idempotent, Step::Elsewhere),
            (Failure::Lost, retries, Step::Retry),
            (Failure::AttemptTimeout, retries, Step::Retry),
            (Failure::Deadline, retries, Step::GiveUp),
            (Failure::BrokerUnavailable, retries, Step::GiveUp),
            (Failure::Protocol(String::new()), idempotent, Step::GiveUp),
            (Failure::Lost, started, Step::GiveUp),
            (Failure::NoResponders, started, Step::GiveUp),
        ] {
            assert_eq!(
                next_step(&failure, chances),
                step,
                "{failure:?} {chances:?}"
            );
        }
    }
}
