//! Cross-origin requests of browsers (WHATWG Fetch §3.2), by `http.cors_origins`.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, idempotency-key, last-event-id, sluice-version, \
     if-match, if-modified-since, if-none-match, if-unmodified-since, traceparent, x-device-id, x-request-id, x-timeout-ms, x-user-id, x-user-roles",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "allow, etag, link, location, ratelimit, ratelimit-policy, retry-after, x-request-id",
);
/// Seconds that a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Which origins may call from browsers.
#[derive(Debug)]
pub(super) enum Cors {
    /// None but our own.
    Off,
    /// All.
    Any,
    /// These.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        if origins.iter().any(|o| o == "*") {
            return Self::Any;
        }
        if origins.is_empty() {
            return Self::Off;
        }
        // The configuration has checked them; what is no header value could never match.
        Self::Listed(origins.iter().filter_map(|o| o.parse().ok()).collect())
    }

    /// Whether any other origin may call.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Adds to a response what the request's origin may see of it.
    pub(super) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let allowed = match self {
            Self::Off => return,
            Self::Any => request.get(ORIGIN).map(|_| HeaderValue::from_static("*")),
            Self::Listed(origins) => {
                // Whatever stands between must not give one origin's response to another.
                response.append(VARY, HeaderValue::from_static("origin"));
                request.get(ORIGIN).filter(|o| origins.contains(o)).cloned()
            }
        };
        let Some(allowed) = allowed else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            response.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        } else {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str], origin: Option<&str>) -> Option<String> {
        let origins: Vec<String> = origins.iter().map(|&o| o.to_owned()).collect();
        let mut request = HeaderMap::new();
        if let Some(origin) = origin {
            request.insert(ORIGIN, origin.parse().unwrap());
        }
        let mut response = HeaderMap::new();
        Cors::new(&origins).apply(&request, &mut response);
        let allowed = response.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(allowed.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_allowed_origins_are_told_so() {
        let listed = ["https://a.example", "https://b.example"];
        for (origins, origin, expected) in [
            (&[][..], Some("https://a.example"), None),
            (&["*"], Some("https://a.example"), Some("*")),
            (&["*"], None, None),
            (
                &listed,
                Some("https://b.example"),
                Some("https://b.example"),
            ),
            (&listed, Some("https://c.example"), None),
            (&listed, Some("null"), None),
            (&listed, None, None),
        ] {
            assert_eq!(allowed(origins, origin).as_deref(), expected);
        }
    }

    #[test]
    fn responses_vary_where_origins_are_listed() {
        let mut response = HeaderMap::new();
        Cors::new(&["https://a.example".to_owned()]).apply(&HeaderMap::new(), &mut response);
        assert_eq!(response[VARY], "origin");
    }
}
