//! What a request says of itself besides its args, in headers or in fields.
//!
//! Names are made once: one that is looked up as text is read, checked and hashed anew each time.

use http::{HeaderMap, HeaderName};
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode, RequestId};

/// The client's id of the request.
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Milliseconds that the call may take.
static TIMEOUT: HeaderName = HeaderName::from_static("x-timeout-ms");
/// W3C Trace Context.
static TRACE: HeaderName = HeaderName::from_static("traceparent");
static TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
/// The key under which a repeated request is known.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

/// A header as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, CallError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some)
        .map_err(|_| invalid(format!("header {name} is not UTF-8")))
}

/// The request's id, if the client chose one.
///
/// # Errors
/// `invalid_request` when it is none.
pub(super) fn request_id(headers: &HeaderMap) -> Result<Option<RequestId>, CallError> {
    let id = text(headers, &REQUEST_ID)?.map(RequestId::new).transpose();
    id.map_err(|e| invalid(format!("header {}: {e}", REQUEST_ID.as_str())))
}

/// 128 random bits in hex: for requests that have no id, and for async calls.
pub(super) fn random_id() -> String {
    crate::random::text::<32>()
}

/// An id for a request whose client chose none.
pub(super) fn new_request_id() -> RequestId {
    #[expect(clippy::expect_used, reason = "32 hex digits follow the rule of ids")]
    RequestId::new(&random_id()).expect("hex digits are an id")
}

/// Milliseconds that the call may take: the shorter of header and field.
///
/// # Errors
/// `invalid_request` when it is no number, or 0.
pub(super) fn timeout_ms(
    headers: &HeaderMap,
    field: Option<u64>,
) -> Result<Option<u64>, CallError> {
    let wrong = |name| {
        invalid(format!(
            "{name} must be a whole number of milliseconds, at least 1"
        ))
    };
    if field == Some(0) {
        return Err(wrong("field \"timeout_ms\""));
    }
    let Some(header) = text(headers, &TIMEOUT)? else {
        return Ok(field);
    };
    let digits = header.bytes().all(|b| b.is_ascii_digit());
    let header = header.parse().ok().filter(|ms| digits && *ms > 0);
    let header: u64 = header.ok_or_else(|| wrong("header x-timeout-ms"))?;
    Ok(Some(field.map_or(header, |f| f.min(header))))
}

/// The trace that the call belongs to. One that is malformed is none (Trace Context §3.2).
pub(super) fn trace(headers: &HeaderMap, field: Option<String>) -> Option<TraceContext> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let of_headers = text(&TRACE).and_then(|t| TraceContext::parse(t, text(&TRACE_STATE)));
    of_headers.or_else(|| TraceContext::parse(&field?, None))
}

/// The idempotency key of a request.
///
/// # Errors
/// `invalid_request` when it is empty, too long, or not printable ASCII.
pub(super) fn idempotency_key(
    headers: &HeaderMap,
    field: Option<&str>,
) -> Result<Option<String>, CallError> {
    let Some(key) = text(headers, &IDEMPOTENCY_KEY)?.or(field) else {
        return Ok(None);
    };
    crate::idempotency::check_key(key)?;
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn one(name: &HeaderName, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn ids_are_taken_or_refused() {
        let id = |v: &[u8]| request_id(&one(&REQUEST_ID, v));
        assert_eq!(id("é 1".as_bytes()).unwrap().unwrap().as_str(), "é 1");
        assert!(request_id(&HeaderMap::new()).unwrap().is_none());
        for bad in [&b""[..], b"\xff", &[b'x'; 129], b"a\tb"] {
            assert_eq!(id(bad).unwrap_err().code, ErrorCode::InvalidRequest);
        }
        assert_ne!(random_id(), random_id());
        assert_eq!(new_request_id().as_str().len(), 32);
    }

    #[test]
    fn timeouts_can_only_be_shortened() {
        let of = |header: &[u8], field| timeout_ms(&one(&TIMEOUT, header), field);
        assert_eq!(of(b"500", None), Ok(Some(500)));
        assert_eq!(of(b"500", Some(300)), Ok(Some(300)));
        assert_eq!(of(b"200", Some(300)), Ok(Some(200)));
        assert_eq!(timeout_ms(&HeaderMap::new(), Some(7)), Ok(Some(7)));
        for bad in [
            &b"0"[..],
            b"",
            b"-1",
            b"+1",
            b"1.5",
            b"99999999999999999999",
        ] {
            assert!(of(bad, None).is_err());
        }
        assert!(timeout_ms(&HeaderMap::new(), Some(0)).is_err());
    }

    #[test]
    fn only_well_formed_traces_are_passed_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (text, passed) in [
            (good.to_owned(), true),
            (good.replacen("00-", "cc-", 1) + "-more", true),
            (good.to_owned() + "-more", false),
            (good.to_uppercase(), false),
            (good.replacen("00-", "ff-", 1), false),
            (
                good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
                false,
            ),
            (good.replace("b7ad6b7169203331", &"0".repeat(16)), false),
            (good[1..].to_owned(), false),
            (String::new(), false),
        ] {
            let got = trace(&one(&TRACE, text.as_bytes()), None);
            assert_eq!(got.is_some(), passed, "{text}");
        }
        assert_eq!(
            trace(&HeaderMap::new(), Some(good.to_owned())).map(|t| t.parent.to_string()),
            Some(good.to_owned())
        );
        assert_eq!(trace(&one(&TRACE, b"x"), None), None);
    }

    #[test]
    fn idempotency_keys_are_checked() {
        let header = |v: &[u8]| idempotency_key(&one(&IDEMPOTENCY_KEY, v), None);
        assert!(header(b"\"8e03978e-40d5\"").is_ok());
        assert!(idempotency_key(&HeaderMap::new(), None).is_ok());
        for bad in [&b""[..], &[b'k'; 256], "é".as_bytes()] {
            assert!(header(bad).is_err());
        }
        assert!(idempotency_key(&HeaderMap::new(), Some("a\nb")).is_err());
    }
}
