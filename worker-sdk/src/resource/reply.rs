//! What functions of the application answer: verdicts, outcomes of actions, replies.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{BodyStream, Node, ResourceResponse};
use crate::Error;

/// The answer of a decision.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Go where yes leads.
    Yes,
    /// Go where no leads.
    No,
    /// Go to this node.
    Go(Node),
    /// Answer this at once.
    Respond(ResourceResponse),
}

/// The result of an action: it never selects a branch of the graph.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Go on.
    Done,
    /// Go to this node.
    Go(Node),
    /// Answer this at once.
    Respond(ResourceResponse),
}

/// What a handler answers: a body, or parts that replace those of the graph.
///
/// ```
/// use http::{StatusCode, header};
/// use sluice_worker::resource::Reply;
///
/// let reply = Reply::text("come back later")
///     .status(StatusCode::SERVICE_UNAVAILABLE)
///     .header(header::RETRY_AFTER, "120".parse().unwrap());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(crate) status: Option<StatusCode>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) stream: Option<BodyStream>,
    pub(crate) is_json: bool,
    /// Whether it is for people, in an answer that says what went wrong.
    pub(crate) is_text: bool,
}

impl Reply {
    /// Everything as the graph has it, the default body too.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A text of the negotiated media type. In an error, status 400 or above, it is a sentence and
    /// labelled `text/plain`, whatever was negotiated for the representation; to send another type
    /// there, use [`Self::json`], [`Self::bytes`] or a header `Content-Type`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            is_text: true,
            ..Self::bytes(text.into())
        }
    }

    /// Bytes of the negotiated media type.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            body: Some(bytes.into()),
            ..Self::default()
        }
    }

    /// Bytes of the negotiated media type that come in pieces. They are sent as they come where the
    /// resource is registered with
    /// [`Function::streaming_resource`](crate::Function::streaming_resource), else all at once.
    #[must_use]
    pub fn stream<S, B>(pieces: S) -> Self
    where
        S: Stream<Item = Result<B, Error>> + Send + 'static,
        B: Into<Bytes> + 'static,
    {
        Self {
            // Not absent: the default sentence is for replies that have no body.
            body: Some(Bytes::new()),
            stream: Some(BodyStream::new(pieces)),
            ..Self::default()
        }
    }

    /// JSON. It is labelled `application/json` unless a JSON type was negotiated.
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        let mut reply = Self::bytes(serde_json::to_vec(value)?);
        reply.is_json = true;
        Ok(reply)
    }

    pub(crate) fn value(value: &serde_json::Value) -> Self {
        let mut reply = Self::bytes(value.to_string());
        reply.is_json = true;
        reply
    }

    /// Replaces the status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a header. It takes the place of one that the graph would send.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl From<ResourceResponse> for Reply {
    fn from(response: ResourceResponse) -> Self {
        Self {
            status: Some(response.status),
            headers: response.headers,
            body: Some(response.body),
            stream: response.stream,
            is_json: false,
            is_text: false,
        }
    }
}
