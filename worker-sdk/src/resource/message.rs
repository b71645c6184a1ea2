//! A request to a resource and its response, as plain data: nothing here knows a transport.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};

use super::BodyStream;
use crate::Context;

/// A request to a [`Resource`](super::Resource).
#[derive(Clone)]
pub struct ResourceRequest {
    /// The method, as the client wrote it: methods are case-sensitive.
    pub method: Method,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// What follows the `?`, percent-encoded as it came.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The parameters of the route's path, `{"id": "7"}` at `/books/{id}`; in the types that the
    /// route's function declares.
    pub params: Map<String, Value>,
    /// The call that brought the request; none in tests that hand one in by themselves.
    pub context: Option<Context>,
}

impl ResourceRequest {
    /// A request without query, headers or body.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            params: Map::new(),
            context: None,
        }
    }

    /// Adds a header, beside those of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a parameter of the path.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

/// Without query, headers and body: they may be secret.
impl fmt::Debug for ResourceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a [`Resource`](super::Resource) answers.
#[derive(Clone, Debug)]
pub struct ResourceResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers. `Content-Length` and `Date` are the transport's.
    pub headers: HeaderMap,
    /// The whole body; empty for HEAD, 204 and 304.
    pub body: Bytes,
    /// In place of `body`, one that comes in pieces.
    pub stream: Option<BodyStream>,
}

impl ResourceResponse {
    /// A response without headers or body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            stream: None,
        }
    }

    /// Adds a header, beside those of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}
