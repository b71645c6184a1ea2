//! Responses: one envelope, a stream of them, or nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use sluice_protocol::payload::TranscodeError;
use sluice_protocol::response::{Answer, Response as Envelope};
use sluice_protocol::{CallError, Encoding, ErrorCode, Executed, RequestId};
use tokio::sync::OwnedSemaphorePermit;

use super::compress::{Packed, Packer};
use super::routes::Pieces;
use super::stream::StreamBody;
use super::{fields, quota};
use crate::edge::identity::CHALLENGE;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MESSAGE_PACK: HeaderValue = HeaderValue::from_static("application/msgpack");

/// The body of a response.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// Whatever lives as long as the body: the connection is busy until it is dropped.
    guard: Option<crate::edge::listener::Busy>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Stream(Box<StreamBody>),
    Pieces(Box<Pieces>),
    Packed(Box<Packed>),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        let kind = Kind::Whole(bytes.into());
        Self { kind, guard: None }
    }

    pub(super) fn stream(stream: StreamBody) -> Self {
        let kind = Kind::Stream(Box::new(stream));
        Self { kind, guard: None }
    }

    pub(super) fn pieces(pieces: Pieces) -> Self {
        let kind = Kind::Pieces(Box::new(pieces));
        Self { kind, guard: None }
    }

    /// The body, if it is whole.
    pub(super) fn content(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Whole(bytes) => Some(bytes),
            Kind::Stream(_) | Kind::Pieces(_) | Kind::Packed(_) => None,
        }
    }

    /// Whether it could be packed. The answers of a stream are small and each is awaited.
    pub(super) fn may_be_packed(&self) -> bool {
        matches!(self.kind, Kind::Whole(_) | Kind::Pieces(_))
    }

    /// The same body, packed as it comes. `permit` is given back with its end.
    pub(super) fn packed(self, packer: Packer, permit: OwnedSemaphorePermit) -> Self {
        match self.kind {
            Kind::Pieces(pieces) => Self {
                kind: Kind::Packed(Box::new(Packed::new(*pieces, packer, permit))),
                guard: self.guard,
            },
            kind => Self { kind, ..self },
        }
    }

    /// Keeps `guard` until the body is written or given up.
    pub(in crate::edge) fn hold(&mut self, guard: crate::edge::listener::Busy) {
        self.guard = Some(guard);
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.kind {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Pieces(pieces) => pieces.poll_bytes(cx).map(|b| b.map(|b| b.map(Frame::data))),
            Kind::Packed(packed) => packed.poll_bytes(cx).map(|b| b.map(|b| b.map(Frame::data))),
            Kind::Stream(stream) => stream.poll_bytes(cx).map(|b| b.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.kind, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) | Kind::Pieces(_) | Kind::Packed(_) => SizeHint::default(),
        }
    }
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A response whose body is JSON, but no envelope.
pub(super) fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = empty(status);
    *response.body_mut() = Body::whole(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An answer that is not an error, in its envelope.
pub(super) fn answer(
    id: &RequestId,
    encoding: Encoding,
    status: StatusCode,
    answer: &Answer,
) -> Response<Body> {
    match envelope(id, encoding, answer) {
        Ok(bytes) => respond(id, encoding, status, bytes),
        Err(reason) => error(id, encoding, unsayable(&reason, encoding)),
    }
}

/// A final answer with the status that it stands for.
pub(super) fn final_answer(
    id: &RequestId,
    encoding: Encoding,
    final_answer: &Answer,
) -> Response<Body> {
    match final_answer {
        Answer::Error(reason) => error(id, encoding, (**reason).clone()),
        _ => answer(id, encoding, StatusCode::OK, final_answer),
    }
}

/// An error in its envelope, with its status.
pub(super) fn error(id: &RequestId, encoding: Encoding, error: CallError) -> Response<Body> {
    // Statuses of errors are statuses.
    let status = StatusCode::from_u16(error.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = retry_after(status, &error);
    let is_over = error.code == ErrorCode::RateLimited;
    let details = error.details.clone().filter(|_| is_over);
    let answer = Answer::from(error);
    let (encoding, bytes) = match envelope(id, encoding, &answer) {
        Ok(bytes) => (encoding, bytes),
        // Details of a worker can be nested deeper than MessagePack may be; JSON says them all.
        Err(_) => (
            Encoding::Json,
            envelope(id, Encoding::Json, &answer).unwrap_or_default(),
        ),
    };
    let mut response = respond(id, encoding, status, bytes);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(CHALLENGE);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Some(details) = details {
        quota::tell_over(&mut response, &details);
    }
    response
}

fn envelope(id: &RequestId, encoding: Encoding, answer: &Answer) -> Result<Bytes, TranscodeError> {
    let request_id = id.as_str();
    Envelope { request_id, answer }.encode(encoding)
}

fn respond(id: &RequestId, encoding: Encoding, status: StatusCode, bytes: Bytes) -> Response<Body> {
    let content_type = match encoding {
        Encoding::Json => JSON,
        // An envelope is never an HTTP message.
        Encoding::MessagePack | Encoding::Http => MESSAGE_PACK,
    };
    let mut response = empty(status);
    *response.body_mut() = Body::whole(bytes);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    echo(&mut response, id);
    response
}

/// Says which request a response answers.
pub(super) fn echo(response: &mut Response<Body>, id: &RequestId) {
    // Ids hold no control characters: each is a header value.
    if let Ok(value) = HeaderValue::from_bytes(id.as_str().as_bytes()) {
        let name = fields::REQUEST_ID.clone();
        response.headers_mut().insert(name, value);
    }
}

/// Seconds after which to try again, for statuses that go with `Retry-After`.
fn retry_after(status: StatusCode, error: &CallError) -> Option<u64> {
    let waits = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !waits.contains(&status) {
        return None;
    }
    let told = error.details.as_ref().and_then(|d| d.get("retry_after_ms"));
    let told = told.and_then(serde_json::Value::as_u64);
    told.map(|ms| ms.div_ceil(1000).max(1))
        .or(error.code.is_transient().then_some(1))
}

/// Why a result cannot be told in `encoding`.
pub(super) fn unsayable(reason: &TranscodeError, encoding: Encoding) -> CallError {
    let error = match reason {
        TranscodeError::Unrepresentable(_) => CallError::new(
            ErrorCode::NotAcceptable,
            format!(
                "the call ran, but its result cannot be sent as {}: {reason}; \
                 accept application/msgpack instead",
                encoding.media_type()
            ),
        ),
        TranscodeError::Malformed { .. } => CallError::new(
            ErrorCode::WorkerError,
            format!("the call ran, but its result is {reason}"),
        ),
    };
    error.with_executed(Executed::Yes, false)
}
