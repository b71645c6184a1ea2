//! One request's way through a resource, and what its decisions leave for each other.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::negotiate::{Dimension, Languages, joined};
use super::{ETag, HttpDate, Node, ResourceRequest, Trace};
use crate::{Context, Error};

/// One request's visit of a resource.
///
/// It carries the request, what was negotiated, and whatever decisions and actions leave in it: a
/// decision that loads something [`put`](Self::put)s it, a later one [`get`](Self::get)s it.
///
/// A clone is the same visit.
#[derive(Clone)]
pub struct Visit(Arc<Inner>);

struct Inner {
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
    params: Map<String, Value>,
    context: Option<Context>,
    state: Mutex<State>,
}

/// What changes on the way.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) method: Method,
    pub(crate) values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    pub(crate) negotiated: Negotiated,
    pub(crate) location: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) etag: Option<Option<ETag>>,
    pub(crate) last_modified: Option<Option<HttpDate>>,
    pub(crate) send_validators: bool,
    pub(crate) acted: Option<Node>,
    pub(crate) error: Option<Arc<Error>>,
    pub(crate) trace: Option<Trace>,
}

/// What was negotiated.
#[derive(Default)]
pub(crate) struct Negotiated {
    pub(crate) media_type: Option<String>,
    pub(crate) language: Option<Languages>,
    pub(crate) charset: Option<String>,
    /// The charset that text has if the client does not say which it takes.
    pub(crate) text_charset: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) vary: Vec<Dimension>,
}

impl Visit {
    pub(crate) fn new(request: ResourceRequest, traced: bool) -> Self {
        let state = State {
            method: request.method,
            trace: traced.then(Trace::default),
            ..State::default()
        };
        Self(Arc::new(Inner {
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body,
            params: request.params,
            context: request.context,
            state: Mutex::new(state),
        }))
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.state(|state| state.method.clone())
    }

    /// Goes on as if the request had this method.
    pub fn set_method(&self, method: Method) {
        self.state(|state| state.method = method);
    }

    /// The path, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The query, percent-encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// The headers of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body of the request.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// A parameter of the route's path.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.0.params.get(name)
    }

    /// A parameter of the route's path that is text; empty if there is none.
    #[must_use]
    pub fn text_param(&self, name: &str) -> &str {
        self.param(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The call that brought the request: who asks, until when, and the way to other functions.
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.0.context.as_ref()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn json_body<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let wrong = |e| Error::invalid_arguments(format!("the body does not fit: {e}"));
        serde_json::from_slice(&self.0.body).map_err(wrong)
    }

    /// Leaves a value for later decisions, in place of one of the same type.
    pub fn put<T: Any + Send + Sync>(&self, value: T) {
        self.state(|state| state.values.insert(TypeId::of::<T>(), Arc::new(value)));
    }

    /// What an earlier decision left.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = self.state(|state| state.values.get(&TypeId::of::<T>()).cloned());
        value?.downcast().ok()
    }

    /// Removes what an earlier decision left.
    pub fn remove<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = self.state(|state| state.values.remove(&TypeId::of::<T>()));
        value?.downcast().ok()
    }

    /// The media type to answer with, as declared; `None` if none was negotiated.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        self.state(|state| state.negotiated.media_type.clone())
    }

    /// The languages to answer in; `None` if none were negotiated.
    #[must_use]
    pub fn language(&self) -> Option<Languages> {
        self.state(|state| state.negotiated.language.clone())
    }

    /// The charset to answer in, if the client asked for one.
    #[must_use]
    pub fn charset(&self) -> Option<String> {
        self.state(|state| state.negotiated.charset.clone())
    }

    /// The content coding of the answer's body, which the handler applies: `identity` is none.
    #[must_use]
    pub fn encoding(&self) -> Option<String> {
        self.state(|state| state.negotiated.encoding.clone())
    }

    /// Sets the `Location` of the answer, if it is one that has it: 201, 301, 303 or 307.
    pub fn set_location(&self, location: impl Into<String>) {
        self.state(|state| state.location = Some(location.into()));
    }

    /// Sets a header of the answer, whichever it will be.
    pub fn set_header(&self, name: HeaderName, value: HeaderValue) {
        self.state(|state| state.headers.insert(name, value));
    }

    /// After a change: sends the entity tag and the date of the state that is now stored.
    ///
    /// The properties `etag` and `last_modified` are asked again, so what they read must be what
    /// was stored. A PUT may call this only if it stored the body unchanged (RFC 9110 9.3.4).
    pub fn send_validators(&self) {
        self.state(|state| state.send_validators = true);
    }

    /// In [`Handler::Exception`](super::Handler::Exception): what went wrong. Clients should not see it.
    #[must_use]
    pub fn error(&self) -> Option<Arc<Error>> {
        self.state(|state| state.error.clone())
    }

    /// The lines of a request header, joined.
    pub(crate) fn joined(&self, name: &str) -> Option<String> {
        joined(self.headers(), name)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.state(|state| state.method == Method::GET || state.method == Method::HEAD)
    }

    pub(crate) fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock())
    }

    pub(crate) fn trace(&self, note: impl FnOnce(&mut Trace)) {
        self.state(|state| state.trace.as_mut().map(note));
    }
}

/// Without headers, body and values: they may be secret.
impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("method", &self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
