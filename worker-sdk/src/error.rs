//! What a handler fails with, and how it looks to the caller.

use std::error::Error as StdError;
use std::fmt;

use serde_json::{Map, Value};
use sluice_protocol::id::check;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Executed, Frame};

/// A cause that is kept for the log and never sent.
type Cause = Box<dyn StdError + Send + Sync>;

/// The longest message that is sent, in bytes: it travels in a header.
const MAX_MESSAGE_BYTES: usize = 4096;

/// What callers read when a cause must not leak.
const HIDDEN: &str = "the function failed; its worker has logged why";

/// Why a call failed: everything that the caller learns, and a cause that only the log learns.
///
/// Every `std::error::Error` turns into one by `?`. Its text is kept for the log, and the caller
/// reads a neutral message with the code `worker_error`.
///
/// ```
/// use serde_json::json;
/// use sluice_worker::Error;
///
/// let error = Error::new("user_not_found", "no such user")
///     .status(404)
///     .details(json!({ "id": 7 }));
/// assert_eq!(error.code(), "user_not_found");
///
/// fn read() -> Result<String, Error> {
///     Ok(std::fs::read_to_string("/does/not/exist")?)
/// }
/// let error = read().unwrap_err();
/// assert_eq!(error.code(), "worker_error");
/// assert!(!error.message().contains("No such file"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    code: String,
    message: String,
    status: Option<u16>,
    details: Option<Map<String, Value>>,
    can_retry: bool,
    executed: Executed,
    cause: Option<Cause>,
}

impl Error {
    /// An error with a stable code, for programs, and a message, for people.
    ///
    /// A code is 1 to 128 bytes without control characters; any other is sent as `worker_error`.
    /// The codes of Sluice (`invalid_arguments`, `permission_denied`, …) may be used and carry
    /// their HTTP status; every other code has status 500 unless [`Self::status`] names one.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code: code.into(),
            message: message.into(),
            status: None,
            details: None,
            can_retry: false,
            executed: Executed::Yes,
            cause: None,
        }))
    }

    /// A failure that callers need not understand: the cause goes to the log alone.
    ///
    /// Takes errors, boxed errors, texts and `anyhow::Error`.
    ///
    /// ```
    /// use sluice_worker::Error;
    /// let error = Error::internal("pool is empty");
    /// assert_eq!(error.code(), "worker_error");
    /// assert_eq!(error.cause().unwrap().to_string(), "pool is empty");
    /// ```
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorCode::WorkerError.as_str(), HIDDEN).caused_by(cause)
    }

    /// The args are not what the function takes; it did not run.
    #[must_use]
    pub fn invalid_arguments(message: impl Into<String>) -> Self {
        Self::of(ErrorCode::InvalidArguments, message)
    }

    /// An error of Sluice's own, for a call that did not run.
    pub(crate) fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(code.as_str(), message)
            .can_retry(code.is_transient())
            .executed(Executed::No)
    }

    /// The HTTP status that callers see, 400 to 599; others are left out.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// More for programs: an object. Any other value is sent as `{"value": …}`.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.0.details = Some(match details {
            Value::Object(map) => map,
            other => Map::from_iter([("value".to_owned(), other)]),
        });
        self
    }

    /// Whether the same call may be sent again. The gateway retries on it, within `retry`.
    #[must_use]
    pub fn can_retry(mut self, can_retry: bool) -> Self {
        self.0.can_retry = can_retry;
        self
    }

    /// Whether the function took effect; `Executed::Yes` unless told otherwise.
    #[must_use]
    pub fn executed(mut self, executed: Executed) -> Self {
        self.0.executed = executed;
        self
    }

    /// Adds what the log should know and the caller should not.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status that callers see.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.to_call_error().http_status()
    }

    /// The entries of [`Self::details`].
    #[must_use]
    pub fn detail(&self, key: &str) -> Option<&Value> {
        self.0.details.as_ref()?.get(key)
    }

    /// Whether the same call may be sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.can_retry
    }

    /// Whether the function ran.
    #[must_use]
    pub fn was_executed(&self) -> Executed {
        self.0.executed
    }

    /// What only the log learns.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The same error with text and details as `reword` leaves them.
    pub(crate) fn reworded(mut self, reword: impl FnOnce(&mut String, Option<&mut Value>)) -> Self {
        let mut details = self.0.details.take().map(Value::Object);
        reword(&mut self.0.message, details.as_mut());
        match details {
            Some(details) => self.details(details),
            None => self,
        }
    }

    pub(crate) fn without_details(mut self) -> Self {
        self.0.details = None;
        self
    }

    pub(crate) fn to_call_error(&self) -> CallError {
        let inner = &*self.0;
        let valid = check("code", &inner.code).is_ok();
        let known = ErrorCode::parse(&inner.code);
        CallError {
            code: known.unwrap_or(ErrorCode::WorkerError),
            custom_code: (known.is_none() && valid).then(|| inner.code.clone()),
            message: shortened(&inner.message),
            source: ErrorSource::Worker,
            can_retry: inner.can_retry,
            executed: inner.executed,
            status: inner.status,
            details: inner.details.clone().map(Box::new),
        }
    }

    pub(crate) fn to_frame(&self, instance: &str) -> Frame {
        Frame::Error {
            error: Box::new(self.to_call_error()),
            instance: Some(instance.to_owned()),
        }
    }

    pub(crate) fn from_call_error(error: CallError) -> Self {
        // That the callee did not run says nothing of the caller, which did: passed on as it is, the
        // refusal would make the gateway run the caller again.
        let executed = match error.executed {
            Executed::No => Executed::Unknown,
            other => other,
        };
        let mut own = Self::new(error.code_text(), error.message.clone())
            .can_retry(false)
            .executed(executed);
        own.0.status = error.status;
        own.0.details = error.details.map(|details| *details);
        own
    }
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    format!("{}…", &message[..end])
}

// `Error` itself is no `std::error::Error`, so that this can cover all that are.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::internal(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut next = self.cause().map(|c| c as &dyn StdError);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_known_code_brings_its_status_and_an_own_code_stands_beside_worker_error() {
        let known = Error::new("permission_denied", "not yours").to_call_error();
        assert_eq!(known.code, ErrorCode::PermissionDenied);
        assert_eq!(
            (known.custom_code.clone(), known.http_status()),
            (None, 403)
        );
        let own = Error::new("user_not_found", "gone")
            .status(404)
            .to_call_error();
        assert_eq!(own.code, ErrorCode::WorkerError);
        assert_eq!(
            (own.code_text(), own.http_status()),
            ("user_not_found", 404)
        );
        let broken = Error::new("a\nb", "x").to_call_error();
        assert_eq!(broken.code_text(), "worker_error");
    }

    #[test]
    fn a_cause_is_logged_and_not_sent() {
        let error = Error::from(std::io::Error::other("password is hunter2"));
        assert!(!error.to_call_error().message.contains("hunter2"));
        assert!(format!("{error:?}").contains("hunter2"));
        assert!(!format!("{error}").contains("hunter2"));
    }

    #[test]
    fn passed_on_by_a_caller_it_does_not_say_that_the_caller_did_not_run() {
        let error = Error::new("busy", "later")
            .status(409)
            .can_retry(true)
            .executed(Executed::No)
            .details(json!({"a": 1}));
        let call = error.to_call_error();
        let passed_on = Error::from_call_error(call.clone()).to_call_error();
        assert_eq!(
            (passed_on.executed, passed_on.can_retry),
            (Executed::Unknown, false)
        );
        assert_eq!(
            (passed_on.code_text(), passed_on.http_status()),
            ("busy", 409)
        );
        assert_eq!(passed_on.details, call.details);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = Error::new("x", "é".repeat(5000)).to_call_error().message;
        assert!(message.len() <= MAX_MESSAGE_BYTES + "…".len());
        assert!(message.ends_with('…'));
    }
}
