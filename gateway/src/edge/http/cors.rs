//! Cross-origin requests of browsers (WHATWG Fetch §3.2), by `http.cors_origins`.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config::Http;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: &str = "accept, authorization, content-type, idempotency-key, last-event-id, sluice-version, \
     if-match, if-modified-since, if-none-match, if-unmodified-since, traceparent, x-device-id, x-request-id, x-timeout-ms, x-user-id, x-user-roles, x-api-key";
const RESPONSE_HEADERS: &str = "allow, content-location, deprecation, etag, link, location, ratelimit, ratelimit-policy, retry-after, sunset, x-request-id";
/// Seconds that a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What browsers of other origins may send and see.
#[derive(Debug)]
pub(super) struct Cors {
    origins: Origins,
    /// Headers that requests may have.
    request: HeaderValue,
    /// Headers of responses that may be looked at.
    response: HeaderValue,
}

/// Which origins may call from browsers.
#[derive(Debug)]
enum Origins {
    /// None but our own.
    Off,
    /// All.
    Any,
    /// These.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    /// By the config. `named` are the headers by which requests name a version.
    pub(super) fn new(config: &Http, named: &[HeaderName]) -> Self {
        let named = named.iter().map(HeaderName::as_str);
        let sent = named.chain(config.cors_headers.iter().map(String::as_str));
        let seen = config.cors_expose.iter().map(String::as_str);
        Self {
            origins: Origins::new(&config.cors_origins),
            request: list(REQUEST_HEADERS, sent),
            response: list(RESPONSE_HEADERS, seen),
        }
    }

    /// Whether any other origin may call.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.origins, Origins::Off)
    }

    /// Adds to a response what the request's origin may see of it.
    pub(super) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let allowed = match &self.origins {
            Origins::Off => return,
            Origins::Any => request.get(ORIGIN).map(|_| HeaderValue::from_static("*")),
            Origins::Listed(origins) => {
                // Whatever stands between must not give one origin's response to another.
                response.append(VARY, HeaderValue::from_static("origin"));
                request.get(ORIGIN).filter(|o| origins.contains(o)).cloned()
            }
        };
        let Some(allowed) = allowed else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.request.clone());
            response.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        } else {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.response.clone());
        }
    }
}

/// The names of `own`, and those of `more` that are not among them.
fn list<'a>(own: &'static str, more: impl Iterator<Item = &'a str>) -> HeaderValue {
    let mut names: Vec<&str> = own.split(',').map(str::trim).collect();
    for name in more {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    // The configuration has checked them.
    let all = HeaderValue::from_str(&names.join(", "));
    all.unwrap_or(HeaderValue::from_static(own))
}

impl Origins {
    fn new(origins: &[String]) -> Self {
        if origins.iter().any(|o| o == "*") {
            return Self::Any;
        }
        if origins.is_empty() {
            return Self::Off;
        }
        // The configuration has checked them; what is no header value could never match.
        Self::Listed(origins.iter().filter_map(|o| o.parse().ok()).collect())
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
        let config = Http {
            cors_origins: origins,
            ..Http::default()
        };
        Cors::new(&config, &[]).apply(&request, &mut response);
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
        let config = Http {
            cors_origins: vec!["https://a.example".to_owned()],
            ..Http::default()
        };
        Cors::new(&config, &[]).apply(&HeaderMap::new(), &mut response);
        assert_eq!(response[VARY], "origin");
    }

    #[test]
    fn headers_are_those_of_the_gateway_of_the_versions_and_of_the_config() {
        let config = Http {
            cors_origins: vec!["*".to_owned()],
            cors_headers: vec!["x-tenant".to_owned(), "Accept".to_owned()],
            cors_expose: vec!["x-total".to_owned()],
            ..Http::default()
        };
        let cors = Cors::new(&config, &[HeaderName::from_static("x-api-version")]);
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static("https://a.example"));
        let mut response = HeaderMap::new();
        cors.apply(&request, &mut response);
        let seen = response[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
        assert_eq!(seen, format!("{RESPONSE_HEADERS}, x-total"));
        request.insert(
            ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("PUT"),
        );
        cors.apply(&request, &mut response);
        let sent = response[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        assert_eq!(sent, format!("{REQUEST_HEADERS}, x-api-version, x-tenant"));
        assert!(sent.contains("x-api-key") && sent.contains("if-match"));
    }
}
