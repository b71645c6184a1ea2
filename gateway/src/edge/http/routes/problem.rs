//! Errors as `application/problem+json` (RFC 9457).

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use sluice_protocol::{CallError, Encoding, RequestId};

use crate::edge::http::response::{self, Body};

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error as a problem, with the status and headers that it has in an envelope.
///
/// `type` is `about:blank`: what is wrong is the status, `code` says more.
pub(super) fn problem(id: &RequestId, error: CallError) -> Response<Body> {
    let document = document(id, &error);
    let mut response = response::error(id, Encoding::Json, error);
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
    *response.body_mut() = Body::whole(document.to_string());
    response
}

fn document(id: &RequestId, error: &CallError) -> Value {
    let status = error.http_status();
    let title = http::StatusCode::from_u16(status).ok();
    let title = title.and_then(|s| s.canonical_reason()).unwrap_or("Error");
    // As in an envelope: whoever repeats a request must know whether it ran.
    let mut details = error.details.as_deref().cloned().unwrap_or_default();
    details.insert("executed".to_owned(), error.executed.as_str().into());
    json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": error.message,
        "code": error.code_text(),
        "source": error.source.as_str(),
        "can_retry": error.can_retry,
        "request_id": id,
        "details": details,
    })
}
