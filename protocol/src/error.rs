//! Error codes and their one mapping: HTTP status, whose fault, whether a retry can help.

use serde_json::{Map, Value};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $source:ident, $transient:literal;)*) => {
        /// The stable codes of errors, `error_code` in responses.
        ///
        /// `docs/errors.md` has a section for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status of a response that carries it (RFC 9110 §15; 499 is nginx's).
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whose fault it usually is.
            #[must_use]
            pub fn source(self) -> ErrorSource {
                match self { $(Self::$name => ErrorSource::$source,)* }
            }

            /// Whether the cause may pass by itself, so that the same request can succeed later.
            #[must_use]
            pub fn is_transient(self) -> bool {
                match self { $(Self::$name => $transient,)* }
            }

            /// Reads a code from the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

error_codes! {
    /// The request is not well-formed, or a field has a wrong type.
    InvalidRequest = "invalid_request", 400, Client, false;
    /// No identity, or a token that does not hold.
    Unauthenticated = "unauthenticated", 401, Client, false;
    /// The identity may not do this.
    PermissionDenied = "permission_denied", 403, Client, false;
    /// A before hook refused the request.
    HookRejected = "hook_rejected", 403, Client, false;
    /// No such service or function is known.
    UnknownFunction = "unknown_function", 404, Client, false;
    /// The function is known, this version is not.
    UnknownVersion = "unknown_version", 404, Client, false;
    /// The method does not fit, for example GET for a function that is not idempotent.
    MethodNotAllowed = "method_not_allowed", 405, Client, false;
    /// No representation that `Accept` allows.
    NotAcceptable = "not_acceptable", 406, Client, false;
    /// A request with this id is still in flight on the socket.
    DuplicateRequest = "duplicate_request", 409, Client, false;
    /// An operator has disabled the function.
    FunctionDisabled = "function_disabled", 410, Gateway, false;
    /// Larger than the gateway or the broker takes.
    PayloadTooLarge = "payload_too_large", 413, Client, false;
    /// The body's media type is not one of ours.
    UnsupportedMediaType = "unsupported_media_type", 415, Client, false;
    /// The args break the function's rules; `details.faults` lists every fault.
    InvalidArguments = "invalid_arguments", 422, Client, false;
    /// The idempotency key was used for another request.
    IdempotencyConflict = "idempotency_conflict", 422, Client, false;
    /// Over a limit; `details.retry_after_ms` says when to come back.
    RateLimited = "rate_limited", 429, Client, true;
    /// The caller gave the call up.
    Cancelled = "cancelled", 499, Client, false;
    /// The gateway failed in a way that it should not.
    Internal = "internal", 500, Gateway, false;
    /// The function answered with an error.
    WorkerError = "worker_error", 500, Worker, false;
    /// The worker that held the call is gone.
    WorkerLost = "worker_lost", 502, Worker, true;
    /// A stream broke: a gap, a worker gone, or a broken connection to the broker.
    StreamLost = "stream_lost", 502, Worker, true;
    /// Parts of a large payload are missing.
    PayloadIncomplete = "payload_incomplete", 502, Worker, true;
    /// Above what the gateway or the workers take at once.
    Overloaded = "overloaded", 503, Gateway, true;
    /// The function is known, and nobody serves it now.
    NoWorkers = "no_workers", 503, Gateway, true;
    /// The breaker is open after too many failures.
    CircuitOpen = "circuit_open", 503, Gateway, true;
    /// The gateway has no connection to the broker.
    BrokerUnavailable = "broker_unavailable", 503, Gateway, true;
    /// The limiter cannot decide, and is told to refuse then.
    LimiterUnavailable = "limiter_unavailable", 503, Gateway, true;
    /// No answer within the deadline.
    Timeout = "timeout", 504, Worker, true;
}

/// Whose fault an error is, `error_source` in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorSource {
    /// The request cannot succeed as it is.
    Client,
    /// The gateway or what it depends on.
    Gateway,
    /// The worker or its function.
    Worker,
}

impl ErrorSource {
    /// The source on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        }
    }
}

/// Whether the function ran, `details.executed` and the header `Sluice-Executed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Executed {
    /// It certainly did not.
    No,
    /// It may have.
    Unknown,
    /// It did, at least in part.
    Yes,
}

impl Executed {
    /// The answer on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Yes => "yes",
        }
    }

    /// Reads it from the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "no" => Some(Self::No),
            "unknown" => Some(Self::Unknown),
            "yes" => Some(Self::Yes),
            _ => None,
        }
    }
}

/// Why a call failed: everything that a client may learn of it.
///
/// The worker sends one (`frame::Frame::Error`), the gateway makes one for each of its own
/// refusals, and [`crate::Response`] renders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The stable code.
    pub code: ErrorCode,
    /// A function's own code, shown in place of `worker_error`.
    pub custom_code: Option<String>,
    /// What happened and what to do: lower-case, no full stop.
    pub message: String,
    /// Whose fault.
    pub source: ErrorSource,
    /// Whether the same request may be sent again.
    pub can_retry: bool,
    /// Whether the function ran.
    pub executed: Executed,
    /// The HTTP status, where the worker named one.
    pub status: Option<u16>,
    /// More for programs, an object.
    pub details: Option<Box<Map<String, Value>>>,
}

impl CallError {
    /// An error with what its code implies: source, retry advice, not executed.
    ///
    /// `can_retry` follows the code: callers that know that the call may have run set
    /// [`Self::executed`] through [`Self::with_executed`], which withdraws the advice.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            custom_code: None,
            message: message.into(),
            source: code.source(),
            can_retry: code.is_transient(),
            executed: Executed::No,
            status: None,
            details: None,
        }
    }

    /// Says whether the call ran. One that may have run can be retried only if it is
    /// `idempotent` and its cause is transient.
    #[must_use]
    pub fn with_executed(mut self, executed: Executed, idempotent: bool) -> Self {
        self.executed = executed;
        self.can_retry = self.code.is_transient() && (executed == Executed::No || idempotent);
        self
    }

    /// Adds one entry to `details`.
    #[must_use]
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details
            .get_or_insert_default()
            .insert(key.to_owned(), value.into());
        self
    }

    /// Says whose fault it was.
    #[must_use]
    pub fn with_source(mut self, source: ErrorSource) -> Self {
        self.source = source;
        self
    }

    /// The code that clients see.
    #[must_use]
    pub fn code_text(&self) -> &str {
        self.custom_code.as_deref().unwrap_or(self.code.as_str())
    }

    /// The HTTP status that clients see.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.status
            .filter(|s| (400..600).contains(s))
            .unwrap_or(self.code.http_status())
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code_text(), self.message)
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!((400..600).contains(&code.http_status()));
        }
        assert_eq!(ErrorCode::parse("nope"), None);
    }

    #[test]
    fn a_call_that_may_have_run_is_retried_only_if_idempotent() {
        let lost = || CallError::new(ErrorCode::WorkerLost, "gone");
        assert!(lost().can_retry);
        assert!(!lost().with_executed(Executed::Unknown, false).can_retry);
        assert!(lost().with_executed(Executed::Unknown, true).can_retry);
        assert!(!CallError::new(ErrorCode::InvalidArguments, "x").can_retry);
    }

    #[test]
    fn a_status_outside_of_errors_is_not_taken_from_a_worker() {
        let mut error = CallError::new(ErrorCode::WorkerError, "x");
        error.status = Some(200);
        assert_eq!(error.http_status(), 500);
        error.status = Some(402);
        assert_eq!(error.http_status(), 402);
    }
}
