//! Requests at paths that functions and resources declare (`GET /users/{id}`, `/books/{id}`).
//!
//! Functions answer their bare result, resources whatever they answer; what goes wrong is told as
//! `application/problem+json` (RFC 9457).

mod args;
mod pieces;
mod problem;
mod resource;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};
use sluice_protocol::request::named_version;
use sluice_protocol::{CallError, ErrorCode, Identity, Payload};

pub(super) use self::pieces::Pieces;
use self::problem::problem;
pub(super) use self::resource::OfResource;
use super::response::{self, Body};
use super::{Asked, Edge, fields};
use crate::edge::service::CallService;
use crate::edge::version_source::original;
use crate::pipeline::{Call, Caller};
use crate::registry::routes::{Lookup, Target};
use crate::registry::wanted::Wanted;
use crate::reply::Reply;

impl<S: CallService> Edge<S> {
    /// Answers a request at a declared route; `None` if there is none.
    pub(super) async fn declared<B>(&self, asked: &Asked<'_>, body: B) -> Option<Response<Body>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let answered = self.at_route(asked, body).await.transpose()?;
        Some(answered.unwrap_or_else(|error| {
            self.count_refused(asked, &error);
            problem(&asked.id, error)
        }))
    }

    /// The same; `Ok(None)` if there is no such route.
    async fn at_route<B>(
        &self,
        asked: &Asked<'_>,
        body: B,
    ) -> Result<Option<Response<Body>>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let head = asked.head;
        let version = self.versions.find(head, None)?;
        let wanted = Wanted {
            version: version.as_deref(),
            ..Wanted::default()
        };
        let (method, path) = (head.method.as_str(), head.uri.path());
        let target = match self.calls.route(method, path, wanted) {
            Lookup::Nothing => return Ok(None),
            Lookup::Malformed => {
                let text = "the path is not percent-encoded UTF-8, has dot segments, or a slash encoded where \
                            the rest of a path is taken";
                return Err(CallError::new(ErrorCode::InvalidRequest, text));
            }
            Lookup::WithoutSlash => return Ok(Some(without_slash(original(head)))),
            Lookup::Methods(allowed) => return Ok(Some(other_methods(asked, &allowed))),
            Lookup::Version { of, known } => {
                // Nobody learns anything before it is known that he may ask.
                let (identity, caller) = self.identify(asked, None).await?;
                let error = unknown_version(wanted.version, &of, known);
                return Err(self.refuse(&identity, &caller, error));
            }
            Lookup::Found(target) => *target,
        };
        let answered = if target.spec.is_resource() {
            self.resource(asked, target, wanted, body).await
        } else {
            self.bare(asked, target, wanted, body).await
        };
        answered.map(Some)
    }

    /// What the route leads its caller to, who may have a version pinned. `target` is what it leads
    /// anybody to.
    fn pinned(
        &self,
        asked: &Asked<'_>,
        target: Target,
        wanted: Wanted<'_>,
        (identity, caller): (&Identity, &Caller),
    ) -> Result<Target, CallError> {
        let may_be_pinned = identity.user_id.is_some() || caller.api_key.is_some();
        if !may_be_pinned || named_version(wanted.version).is_some() || !self.calls.has_pins() {
            return Ok(target);
        }
        let wanted = Wanted {
            user: identity.user_id.as_deref(),
            api_key: caller.api_key.as_deref(),
            ..wanted
        };
        let (method, path) = (asked.head.method.as_str(), asked.head.uri.path());
        match self.calls.route(method, path, wanted) {
            Lookup::Found(pinned) => Ok(*pinned),
            Lookup::Version { of, known } => {
                Err(self.refuse(identity, caller, unknown_version(None, &of, known)))
            }
            // It went a moment ago; the call will say so.
            _ => Ok(target),
        }
    }

    /// Calls a function and answers its result alone.
    async fn bare<B>(
        &self,
        asked: &Asked<'_>,
        target: Target,
        wanted: Wanted<'_>,
        body: B,
    ) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let permit = self.parts().capacity.enter()?;
        // First of all: strangers and those who are refused all the time are told nothing else.
        let (identity, caller) = self.identify(asked, None).await?;
        let target = self.pinned(asked, target, wanted, (&identity, &caller))?;
        asked.formats.check(target.spec.response_type)?;
        let headers = &asked.head.headers;
        let types = target.spec.arg_types.as_ref();
        let query = asked.head.uri.query().map(|q| self.versions.args_of(q));
        let of_url = args::of_url(query.as_deref(), &target.params, types)
            .map_err(|error| self.refuse(&identity, &caller, error))?;
        let mut call = Call {
            request_id: asked.id.clone(),
            service: target.service,
            request_type: target.request_type,
            version: target.version,
            args: of_url,
            identity,
            trace: fields::trace(headers, None),
            timeout_ms: fields::timeout_ms(headers, None)?,
            idempotent_only: matches!(asked.head.method, Method::GET | Method::HEAD),
            idempotency_key: fields::idempotency_key(headers, None)?,
            http: None,
            caller,
        };
        // Last, so that a request that is refused in any case is refused unread.
        let (encoding, bytes) = self.read_body(asked, body).await?;
        if !bytes.is_empty() {
            call.args = args::with_body(call.args, Payload { encoding, bytes })
                .map_err(|error| self.refuse(&call.identity, &call.caller, error))?;
        }
        let owner = call.identity.user_id.clone();
        let error = |error| problem(&asked.id, error);
        self.limited(error, Box::new(call), async |call| {
            asked.called.store(true, Ordering::Relaxed);
            match self.calls.call(call).await? {
                Reply::Result(payload) => result(asked, &payload),
                Reply::Accepted => Ok(response::empty(StatusCode::ACCEPTED)),
                Reply::Async(answers) => {
                    let answer = self.acknowledge(asked, owner, answers, permit).await;
                    answer.map(without_body)
                }
                Reply::Stream(answers) => Ok(self.open_stream(asked, answers, permit)),
            }
        })
        .await
    }
}

fn unknown_version(version: Option<&str>, of: &str, known: Vec<String>) -> CallError {
    let text = match version {
        Some(version) => format!("{of} has no version {version:?} at this path"),
        None => format!("the version of {of} that its caller is pinned to is not there"),
    };
    CallError::new(ErrorCode::UnknownVersion, text).with_detail("versions", known)
}

/// A result as it is.
fn result(asked: &Asked<'_>, payload: &Payload) -> Result<Response<Body>, CallError> {
    let encoding = asked.formats.for_errors();
    let payload = payload
        .transcode(encoding)
        .map_err(|reason| response::unsayable(&reason, encoding))?;
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = Body::whole(payload.bytes);
    let media_type = HeaderValue::from_static(payload.encoding.media_type());
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

/// An acknowledgement has no result: its `Location` says where that will be.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    *response.body_mut() = Body::whole(Bytes::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// Where functions are, but none for this method.
fn other_methods(asked: &Asked<'_>, allowed: &str) -> Response<Body> {
    let method = &asked.head.method;
    let mut response = if *method == Method::OPTIONS {
        response::empty(StatusCode::NO_CONTENT)
    } else {
        let text = format!("{method} is not for this path; use {allowed}");
        problem(&asked.id, CallError::new(ErrorCode::MethodNotAllowed, text))
    };
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// Sends the client to the path as it sent it, without the slash at its end; 308 keeps method and body. Such a
/// path begins with one slash: what begins with two is no route.
fn without_slash(uri: &http::Uri) -> Response<Body> {
    let path = uri.path().trim_end_matches('/');
    let location = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut response = response::empty(StatusCode::PERMANENT_REDIRECT);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
