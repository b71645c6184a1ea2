//! HTTP: requests become calls, replies become responses.
//!
//! ```text
//! route      which door: a function, a whole request, a result, health
//! routes     the paths that functions and resources declare
//! who        the credential, the address: before all that looks into the request
//! fields     id, version, timeout, trace            accept, negotiate   which form of answer
//! body       encoding and bytes of the request      query               args of GET
//! call       runs the call, answers by kind         results, follow     async calls
//! response   one envelope                           stream              many
//! cors       what browsers may see             compress             fewer bytes for who asks
//! ```
//!
//! Whatever goes wrong, the answer is an envelope with the status of its error code
//! (`docs/client-protocol.md`).

mod accept;
mod body;
mod call;
mod compress;
mod cors;
mod deprecation;
mod fields;
mod follow;
mod health;
mod negotiate;
mod query;
mod quota;
mod response;
mod results;
mod route;
mod routes;
mod stream;
#[cfg(test)]
mod tests;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use sluice_protocol::{CallError, Encoding, ErrorCode, RequestId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::query::args_from_query;
pub use self::response::Body;

use self::compress::Compression;
use self::cors::Cors;
use self::negotiate::Formats;
use self::route::Route;
use super::capacity::Capacity;
use super::service::CallService;
use super::sockets::Door;
use super::version_source::{Named, VersionSources};
use crate::config::Config;
use crate::dev::page::Page;
use crate::health::Health;
use crate::identity::Identifier;
use crate::results::ResultStore;
use crate::telemetry::Recorder;
use crate::telemetry::meters::EdgeKind;
use crate::telemetry::names::Series;

/// What the edge works with, besides what answers its calls.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Results of async calls.
    pub results: Arc<dyn ResultStore>,
    /// The page of `sluice dev`.
    pub page: Option<Arc<Page>>,
    /// What health checks report.
    pub health: Arc<Health>,
    /// The configuration.
    pub config: Arc<Config>,
    /// How much is taken at once.
    pub capacity: Arc<Capacity>,
    /// Lets callers in.
    pub identifier: Arc<Identifier>,
}

/// Answers HTTP requests.
#[derive(Debug)]
pub struct Edge<S> {
    calls: Arc<S>,
    parts: Parts,
    sockets: Option<Arc<dyn Door>>,
    cors: Cors,
    compression: Compression,
    versions: VersionSources,
    /// Followers of async calls, and whatever else outlives its request.
    pub(super) tasks: TaskTracker,
    /// Triggered when the time to drain is up.
    pub(super) force: CancellationToken,
}

/// What a request says of itself, read before anything else.
struct Asked<'a> {
    head: &'a Head,
    id: RequestId,
    /// The encoding of its body; `Ok(None)`: not said.
    content: Result<Option<Encoding>, CallError>,
    formats: Formats,
    /// Whether it became a call: what comes of that is counted there.
    called: AtomicBool,
}

impl<'a> Asked<'a> {
    fn of(head: &'a Head, id: RequestId) -> Self {
        let content = body::content_type(&head.headers);
        let formats = Formats::negotiate(&head.headers, encoding(&content));
        Self {
            head,
            id,
            content,
            formats,
            called: AtomicBool::new(false),
        }
    }

    /// The encoding of the request; JSON where it is not said.
    fn encoding(&self) -> Encoding {
        encoding(&self.content)
    }

    fn error(&self, error: CallError) -> Response<Body> {
        response::error(&self.id, self.formats.for_errors(), error)
    }
}

fn encoding(content: &Result<Option<Encoding>, CallError>) -> Encoding {
    content.as_ref().ok().copied().flatten().unwrap_or_default()
}

impl<S: CallService> Edge<S> {
    /// An edge whose calls `calls` answers.
    #[must_use]
    pub fn new(calls: Arc<S>, parts: Parts) -> Self {
        let versions = VersionSources::new(&parts.config.versions.sources);
        Self {
            calls,
            cors: Cors::new(&parts.config.http, &versions.headers()),
            compression: Compression::new(&parts.config.http),
            versions,
            parts,
            sockets: None,
            tasks: TaskTracker::new(),
            force: CancellationToken::new(),
        }
    }

    /// The same edge, with one path for sockets.
    #[must_use]
    pub fn with_sockets(mut self, door: Arc<dyn Door>) -> Self {
        self.sockets = Some(door);
        self
    }

    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.calls.recorder()
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Answers one request. Dropping the future, or the body that it yields, cancels the call.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let (mut head, body) = request.into_parts();
        self.versions.strip(&mut head);
        if let Some(door) = self.sockets.as_ref().filter(|d| d.serves(head.uri.path())) {
            // For all requests of the socket that name none.
            if let Ok(Some(version)) = self.versions.find(&head, None) {
                head.extensions.insert(Named(version));
            }
            let answer = door.open(Request::from_parts(head, ())).await;
            return answer.map(Body::whole);
        }
        if let Some(file) = self.page(&head).await {
            return file;
        }
        let (id, invalid_id) = match fields::request_id(&head.headers) {
            Ok(id) => (id.unwrap_or_else(fields::new_request_id), None),
            Err(error) => (fields::new_request_id(), Some(error)),
        };
        let mut asked = Asked::of(&head, id);
        let answered = match invalid_id {
            Some(error) => Err(error),
            None => self.route(&mut asked, body).await,
        };
        self.count(&asked, answered.as_ref().err());
        let mut response = answered.unwrap_or_else(|error| asked.error(error));
        if !response.headers().contains_key(&fields::REQUEST_ID) {
            response::echo(&mut response, &asked.id);
        }
        self.versions.vary(&head, response.headers_mut());
        self.compression.apply(&head, &mut response).await;
        self.cors.apply(&head.headers, response.headers_mut());
        if head.method == Method::HEAD {
            leave_head(&mut response);
        }
        response
    }

    fn count(&self, asked: &Asked<'_>, error: Option<&CallError>) {
        let Some(recorder) = self.calls.recorder() else {
            return;
        };
        recorder.inc(Series::HttpRequests);
        if let Some(error) = error {
            self.count_refused(asked, error);
        }
    }

    /// Counts an error of a request that became no call: what comes of calls is counted there.
    fn count_refused(&self, asked: &Asked<'_>, error: &CallError) {
        if let Some(recorder) = self.calls.recorder()
            && !asked.called.load(Ordering::Relaxed)
        {
            recorder.meters.refused(EdgeKind::Http, error.code);
        }
    }

    /// A file of the page of `sluice dev`, if that is what is asked for.
    async fn page(&self, head: &Head) -> Option<Response<Body>> {
        let page = self
            .parts
            .page
            .as_ref()
            .filter(|_| head.method == Method::GET)?;
        let (media_type, content) = page.get(head.uri.path()).await?;
        let mut response = Response::new(Body::whole(content));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// Of a gateway that has just started: until it knows what functions declare, within the time that
    /// the request gives it.
    async fn wait_linked(&self, headers: &HeaderMap) {
        let most = fields::timeout_ms(headers, None).ok().flatten();
        let most = most.map(Duration::from_millis);
        self.parts.health.wait_linked(most).await;
    }

    async fn route<B>(&self, asked: &mut Asked<'_>, body: B) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let head = asked.head;
        let route = Route::of(head.uri.path());
        if !self.parts.health.is_linked() && !matches!(route, Some(Route::Live | Route::Ready)) {
            Box::pin(self.wait_linked(&head.headers)).await;
        }
        let Some(route) = route else {
            // Boxed, as other paths that are rarer or slower: the room that a future has is moved with
            // it, for every request.
            let declared = Box::pin(self.declared(asked, body)).await;
            return declared.ok_or_else(|| nothing_at(head.uri.path()));
        };
        match (&head.method, route) {
            (&Method::POST, Route::Function(name)) => self.post(asked, name, body).await,
            (&Method::POST, Route::Whole) => Box::pin(self.post_whole(asked, body)).await,
            (&Method::GET | &Method::HEAD, Route::Function(name)) => match name.as_result() {
                Some(id) => Box::pin(self.get_result(asked, id)).await,
                None => self.get(asked, name).await,
            },
            (&Method::DELETE, Route::Function(name)) if name.as_result().is_some() => {
                self.cancel(asked, name.request_type).await
            }
            (&Method::GET | &Method::HEAD, Route::Live) => Ok(health::live(&self.parts.health)),
            (&Method::GET | &Method::HEAD, Route::Ready) => Ok(health::ready(&self.parts.health)),
            (&Method::OPTIONS, route) => Ok(allow(response::empty(StatusCode::NO_CONTENT), route)),
            (method, route) => {
                let text = format!("{method} is not for this path; use {}", route.methods());
                let error = CallError::new(ErrorCode::MethodNotAllowed, text);
                Ok(allow(asked.error(error), route))
            }
        }
    }
}

fn allow(mut response: Response<Body>, route: Route<'_>) -> Response<Body> {
    let methods = HeaderValue::from_static(route.methods());
    response.headers_mut().insert(ALLOW, methods);
    response
}

fn nothing_at(path: &str) -> CallError {
    let path: String = path.chars().take(100).collect();
    let text = format!(
        "there is nothing at {path:?}; functions are called at /api/{{service}}/{{request_type}}"
    );
    CallError::new(ErrorCode::UnknownFunction, text)
}

/// Keeps what HEAD answers: everything but the body.
fn leave_head(response: &mut Response<Body>) {
    // A resource answers HEAD itself.
    if response.extensions().get::<routes::OfResource>().is_some() {
        return;
    }
    // How long it would be when packed is known only once it is.
    if response.headers().contains_key(CONTENT_ENCODING) {
        return;
    }
    if let Some(length) = response.body().size_hint().exact() {
        let name: HeaderName = CONTENT_LENGTH;
        response.headers_mut().insert(name, length.into());
    }
    *response.body_mut() = Body::whole(Bytes::new());
}
