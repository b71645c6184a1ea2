//! Requests to resources: passed on as they are, and answered by what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION,
    CONTENT_LENGTH, CONTENT_LOCATION, DATE, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
    LOCATION, ORIGIN, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use sluice_protocol::http::{
    Field, MAX_FIELDS, RequestHead, ResponseHead, field_bytes, field_text,
};
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Executed, Payload};

use super::problem::problem;
use super::{Pieces, args};
use crate::edge::capacity::Permit;
use crate::edge::http::compress::{own_tags, own_tags_of_range};
use crate::edge::http::response::{self, Body};
use crate::edge::http::{Asked, Edge, body, fields};
use crate::edge::identity;
use crate::edge::service::CallService;
use crate::edge::version_source::within_version;
use crate::identity::credential::X_API_KEY;
use crate::pipeline::{Call, HttpRequest};
use crate::registry::routes::Target;
use crate::registry::wanted::Wanted;
use crate::reply::{Answers, Reply};

/// On responses that a resource made: HEAD needs no more done to it.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge::http) struct OfResource;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

impl<S: CallService> Edge<S> {
    /// Passes a request on to a resource.
    pub(super) async fn resource<B>(
        &self,
        asked: &Asked<'_>,
        target: Target,
        wanted: Wanted<'_>,
        body: B,
    ) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        // A browser asks the gateway what it may send, not the resource what it has.
        if self.cors.is_on() && is_preflight(asked.head) {
            return Ok(response::empty(StatusCode::NO_CONTENT));
        }
        let permit = self.parts().capacity.enter()?;
        let session = self.session(asked).await?;
        let (identity, caller) = self.acting(asked, &session, None)?;
        let target = self.pinned(asked, target, wanted, (&identity, &caller))?;
        let types = target.spec.arg_types.as_ref();
        let args = args::of_url(None, &target.params, types)
            .map_err(|error| self.refuse(&identity, &caller, error))?;
        let head = self.request_head(asked.head, session.is_verified())?;
        let headers = &asked.head.headers;
        let mut call = Call {
            request_id: asked.id.clone(),
            service: target.service,
            request_type: target.request_type,
            version: target.version,
            args,
            identity,
            trace: fields::trace(headers, None),
            timeout_ms: fields::timeout_ms(headers, None)?,
            idempotent_only: false,
            // The header goes on to the resource, which alone knows what its request means.
            idempotency_key: None,
            http: None,
            caller,
        };
        let body = if body::is_empty(&body) {
            Bytes::new()
        } else {
            body::read(body, &self.parts().config.http).await?
        };
        call.http = Some(Arc::new(HttpRequest { head, body }));
        let bodiless = asked.head.method == Method::HEAD;
        let error = |error| problem(&asked.id, error);
        self.limited(error, Box::new(call), async |call| {
            asked.called.store(true, Ordering::Relaxed);
            match self.calls.call(call).await? {
                Reply::Result(message) => {
                    let (head, body) = split(&message)?;
                    respond(asked.head, head, bodiless, || Body::whole(body))
                }
                Reply::Stream(answers) => in_pieces(asked.head, answers, bodiless, permit).await,
                Reply::Accepted | Reply::Async(_) => Err(senseless("an acknowledgement")),
            }
        })
        .await
    }

    /// The head of a request as the resource gets it. Credentials that the gateway has checked stay
    /// with it: who it is says the identity.
    fn request_head(&self, head: &Head, verified: bool) -> Result<RequestHead, CallError> {
        let named = connection_options(&head.headers);
        let passes = |name: &HeaderName| {
            !is_between_neighbours(name)
                // Anybody can write these; whom the gateway knows it says itself.
                && ![&identity::USER, &identity::DEVICE, &identity::ROLES].contains(&name)
                && *name != CONTENT_LENGTH
                && !(verified && (*name == AUTHORIZATION || *name == X_API_KEY))
                && !named.iter().any(|n| n.eq_ignore_ascii_case(name.as_str()))
        };
        let field = |(name, value): (&HeaderName, &HeaderValue)| -> Field {
            let value = field_text(value.as_bytes());
            let value = match *name {
                IF_MATCH | IF_NONE_MATCH => own_tags(&value),
                IF_RANGE => own_tags_of_range(&value),
                ACCEPT => self.versions.plain_accept(value),
                ACCEPT_ENCODING => self.compression.passed_on(&head.headers, value),
                _ => value,
            };
            (name.as_str().to_owned(), value)
        };
        let headers: Vec<Field> = head
            .headers
            .iter()
            .filter(|(n, _)| passes(n))
            .map(field)
            .collect();
        if headers.len() > MAX_FIELDS {
            let text = format!("the request has more than {MAX_FIELDS} header fields");
            let error = CallError::new(ErrorCode::InvalidRequest, text);
            return Err(CallError {
                status: Some(431),
                ..error
            });
        }
        Ok(RequestHead {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers,
        })
    }
}

/// A response whose body comes in pieces: the first has the head.
async fn in_pieces(
    request: &Head,
    mut answers: Answers,
    bodiless: bool,
    permit: Permit,
) -> Result<Response<Body>, CallError> {
    let (message, last) = match answers.next().await {
        Some(Answer::Item { payload, last }) => (payload, last),
        Some(Answer::Error(error)) => return Err(*error),
        _ => return Err(senseless("no head")),
    };
    let (head, first) = split(&message)?;
    let answers = Some(answers).filter(|_| !last);
    respond(request, head, bodiless, || {
        Body::pieces(Pieces::new(first, answers, permit))
    })
}

fn split(message: &Payload) -> Result<(ResponseHead, Bytes), CallError> {
    let (head, body) = message
        .split_http()
        .ok_or_else(|| senseless("a bare result"))?;
    let head = ResponseHead::parse(head).map_err(|e| senseless(&e.to_string()))?;
    Ok((head, body))
}

/// The response that a resource made, without what is between two neighbours on the way. Its places
/// are in the version that the request's path named.
fn respond(
    request: &Head,
    head: ResponseHead,
    bodiless: bool,
    body: impl FnOnce() -> Body,
) -> Result<Response<Body>, CallError> {
    let status = StatusCode::from_u16(head.status).map_err(|_| senseless("a wrong status"))?;
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = status;
    for (name, value) in &head.headers {
        let named = HeaderName::from_bytes(name.as_bytes());
        let named = named.map_err(|_| senseless("a field whose name is none"))?;
        let value = field_bytes(value).and_then(|v| HeaderValue::from_bytes(&v).ok());
        let mut value = value.ok_or_else(|| senseless("a field whose value is none"))?;
        if named == LOCATION || named == CONTENT_LOCATION {
            let reference = value.to_str().ok();
            let own = reference.and_then(|r| within_version(request, r));
            value = own.and_then(|own| own.parse().ok()).unwrap_or(value);
        }
        if !is_between_neighbours(&named) && named != CONTENT_LENGTH && named != DATE {
            response.headers_mut().append(named, value);
        }
    }
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if !bodiless && !none.contains(&status) {
        *response.body_mut() = body();
    }
    response.extensions_mut().insert(OfResource);
    Ok(response)
}

/// Fields that `Connection` names: they are for the next neighbour only (RFC 9110 §7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(CONNECTION).into_iter();
    let lines = lines.filter_map(|v| v.to_str().ok());
    lines
        .flat_map(|line| line.split(',').map(str::trim))
        .collect()
}

fn is_between_neighbours(name: &HeaderName) -> bool {
    [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

fn is_preflight(head: &Head) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn senseless(what: &str) -> CallError {
    let text = format!("the resource answered what is no HTTP response: {what}");
    CallError::new(ErrorCode::WorkerError, text).with_executed(Executed::Yes, false)
}
