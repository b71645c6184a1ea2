//! From a handler's reply to the response: status, headers, body.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, header};

use super::facts::{Facts, is_coded};
use super::negotiate::Dimension;
use super::visit::Negotiated;
use super::{Handler, Reply, ResourceResponse, Visit};

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// What a sentence about an error is, whatever was negotiated.
const SENTENCE: &str = "text/plain;charset=utf-8";

/// Makes the response of a handler. `location` is sent with it.
pub(crate) fn respond(
    visit: &Visit,
    handler: Handler,
    reply: Reply,
    facts: &Facts,
    location: Option<&str>,
) -> ResourceResponse {
    let default = StatusCode::from_u16(handler.status());
    let status = reply
        .status
        .unwrap_or(default.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    let mut headers = HeaderMap::new();
    if !is_bodyless(status) {
        describe_body(&mut headers, visit, handler, status, &reply);
    }
    let read = visit.is_read();
    visit.state(|state| {
        vary(&mut headers, &state.negotiated);
        let validated = matches!(status.as_u16(), 200 | 300 | 304) && read;
        if validated || (status.is_success() && state.send_validators) {
            if let Some(Some(tag)) = &state.etag {
                set(&mut headers, header::ETAG, &tag.to_string());
            }
            if let Some(Some(date)) = &state.last_modified {
                set(&mut headers, header::LAST_MODIFIED, &date.to_string());
            }
        }
    });
    if let Some(location) = location {
        set(&mut headers, header::LOCATION, location);
    }
    let is_patch = visit.method() == Method::PATCH;
    describe_methods(&mut headers, handler, status, is_patch, facts);
    if let Some(challenge) = facts.challenge.as_ref().filter(|_| status == 401) {
        headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
    }
    visit.state(|state| replace(&mut headers, std::mem::take(&mut state.headers)));
    replace(&mut headers, reply.headers);
    let body = reply
        .body
        .unwrap_or(Bytes::from_static(handler.default_body().as_bytes()));
    let response = ResourceResponse {
        status,
        headers,
        body,
        stream: reply.stream,
    };
    without_body(visit, response)
}

/// Takes the body away where there must be none.
pub(crate) fn without_body(visit: &Visit, mut response: ResourceResponse) -> ResourceResponse {
    if visit.method() == Method::HEAD || is_bodyless(response.status) {
        response.body = Bytes::new();
        response.stream = None;
    }
    response
}

fn is_bodyless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status.as_u16(), 204 | 205 | 304)
}

/// `Content-Type`, `Content-Language` and `Content-Encoding`.
fn describe_body(
    headers: &mut HeaderMap,
    visit: &Visit,
    handler: Handler,
    status: StatusCode,
    reply: &Reply,
) {
    if reply.body.is_none() && handler != Handler::Ok {
        if !handler.default_body().is_empty() {
            set(headers, header::CONTENT_TYPE, SENTENCE);
        }
        return;
    }
    if reply.is_text && status.as_u16() >= 400 {
        set(headers, header::CONTENT_TYPE, SENTENCE);
        return;
    }
    visit.state(|state| {
        let negotiated = &state.negotiated;
        if let Some(content_type) = content_type(negotiated, reply.is_json) {
            set(headers, header::CONTENT_TYPE, &content_type);
        }
        let language = negotiated.language.as_ref().filter(|l| !l.is_neutral());
        if let Some(language) = language {
            set(
                headers,
                header::CONTENT_LANGUAGE,
                &language.tags().join(", "),
            );
        }
        // An error is not encoded as the resource would be, unless its handler says so.
        let coding = negotiated.encoding.as_deref().filter(|c| is_coded(c));
        if let Some(coding) = coding.filter(|_| status.as_u16() < 400) {
            set(headers, header::CONTENT_ENCODING, coding);
        }
    });
}

fn content_type(negotiated: &Negotiated, is_json: bool) -> Option<String> {
    let selected = negotiated.media_type.as_deref();
    if is_json && !selected.is_some_and(is_json_type) {
        return Some("application/json".to_owned());
    }
    let selected = selected?;
    let lower = selected.to_ascii_lowercase();
    let default = negotiated
        .text_charset
        .as_ref()
        .filter(|_| lower.starts_with("text/"));
    Some(match negotiated.charset.as_ref().or(default) {
        Some(charset) if !lower.contains(";charset=") && !lower.contains("; charset=") => {
            format!("{selected};charset={charset}")
        }
        _ => selected.to_owned(),
    })
}

fn is_json_type(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default().trim();
    let name = name.to_ascii_lowercase();
    name.ends_with("/json") || name.ends_with("+json")
}

fn vary(headers: &mut HeaderMap, negotiated: &Negotiated) {
    // The order is that of the specification; the one of negotiation differs.
    const ORDER: [Dimension; 4] = [
        Dimension::MediaType,
        Dimension::Charset,
        Dimension::Language,
        Dimension::Encoding,
    ];
    let used = ORDER.iter().filter(|on| negotiated.vary.contains(on));
    let names: Vec<_> = used.map(|on| on.header()).collect();
    if !names.is_empty() {
        set(headers, header::VARY, &names.join(", "));
    }
}

/// `Allow` and `Accept-Patch`.
fn describe_methods(
    headers: &mut HeaderMap,
    handler: Handler,
    status: StatusCode,
    is_patch: bool,
    facts: &Facts,
) {
    let all = handler == Handler::Options || status == StatusCode::METHOD_NOT_ALLOWED;
    if all {
        let names: Vec<_> = facts.allowed_methods.iter().map(Method::as_str).collect();
        set(headers, header::ALLOW, &names.join(", "));
    }
    let refused = status == StatusCode::UNSUPPORTED_MEDIA_TYPE && is_patch;
    let can_patch = facts.allowed_methods.contains(&Method::PATCH);
    if (all || refused) && can_patch && !facts.patch_types.is_empty() {
        set(headers, ACCEPT_PATCH, &facts.patch_types.join(", "));
    }
}

/// Sets a header; a value that cannot be one is left out, since it came from the application.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(_) => tracing::warn!(header = %name, "not a header value; the header is left out"),
    }
}

/// Puts the values of the second in the place of those of the first.
fn replace(headers: &mut HeaderMap, with: HeaderMap) {
    let mut last: Option<HeaderName> = None;
    for (name, value) in with {
        match name {
            Some(name) => {
                headers.insert(&name, value);
                last = Some(name);
            }
            // A further value of the same name.
            None => {
                if let Some(name) = &last {
                    headers.append(name, value);
                }
            }
        }
    }
}
