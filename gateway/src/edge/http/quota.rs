//! What a limit has left, as `RateLimit` and `RateLimit-Policy` say it
//! (draft-ietf-httpapi-ratelimit-headers-10).

use http::{HeaderName, HeaderValue, Response};
use serde_json::{Map, Value};

use super::response::Body;
use crate::limiter::Quota;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One limit in numbers; its name needs no escapes.
struct Told<'a> {
    name: &'a str,
    max_requests: u64,
    window_ms: u64,
    remaining: u64,
    reset_ms: Option<u64>,
}

impl Told<'_> {
    fn write(&self, response: &mut Response<Body>) {
        let seconds = |ms: u64| ms.div_ceil(1000);
        let policy = format!(
            "\"{}\";q={};w={}",
            self.name,
            self.max_requests,
            seconds(self.window_ms)
        );
        let mut left = format!("\"{}\";r={}", self.name, self.remaining);
        if let Some(reset) = self.reset_ms {
            left = format!("{left};t={}", seconds(reset));
        }
        for (name, text) in [(POLICY, policy), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

/// Tells what the tightest limit of an admitted call has left.
pub(super) fn tell(mut response: Response<Body>, left: Option<&Quota>) -> Response<Body> {
    if let Some(Quota { rule, remaining }) = left {
        let limit = &rule.limit;
        let told = Told {
            name: &limit.name,
            max_requests: limit.max_requests.into(),
            window_ms: limit.window_ms,
            remaining: *remaining,
            reset_ms: None,
        };
        told.write(&mut response);
    }
    response
}

/// Tells which limit a refused call is over, from the details of its error.
pub(super) fn tell_over(response: &mut Response<Body>, details: &Map<String, Value>) {
    let number = |name: &str| details.get(name).and_then(Value::as_u64);
    let limit = || {
        Some(Told {
            name: details.get("limit")?.as_str()?,
            max_requests: number("max_requests")?,
            window_ms: number("window_ms")?,
            remaining: 0,
            reset_ms: number("retry_after_ms"),
        })
    };
    if let Some(told) = limit() {
        told.write(response);
    }
}
