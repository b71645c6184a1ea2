//! Frames onto the caller's inbox.

use async_nats::client::PublishErrorKind;
use async_nats::{Client, HeaderMap, HeaderName, Subject};
use sluice_protocol::{ErrorCode, Executed, Frame, InstanceId};

use crate::error::Error;

/// Answers one call.
#[derive(Debug, Clone)]
pub(crate) struct Replier {
    client: Client,
    reply: Option<Subject>,
    instance: InstanceId,
}

/// A frame that did not go out.
#[derive(Debug)]
enum Unsent {
    /// The broker would refuse it, and close the connection.
    TooLarge,
    /// The connection is closed for good: the worker has stopped.
    Closed,
}

impl Replier {
    pub(crate) fn new(client: Client, reply: Option<Subject>, instance: InstanceId) -> Self {
        Self {
            client,
            reply,
            instance,
        }
    }

    pub(crate) async fn accepted(&self) {
        self.plain(Frame::Accepted {
            instance: self.instance.to_string(),
        })
        .await;
    }

    pub(crate) async fn beat(&self, seq: u64) {
        self.plain(Frame::Beat {
            instance: self.instance.to_string(),
            seq,
        })
        .await;
    }

    pub(crate) async fn end(&self, count: u64) {
        self.plain(Frame::End { count }).await;
    }

    /// An error, without its details if they are too large to send.
    pub(crate) async fn error(&self, error: Error) {
        let frame = error.to_frame(self.instance.as_str());
        if let Err(Unsent::TooLarge) = self.send(&frame).await {
            let frame = error.without_details().to_frame(self.instance.as_str());
            self.plain(frame).await;
        }
    }

    /// A result, or the error that it is too large.
    pub(crate) async fn result(&self, frame: &Frame) -> Result<(), Error> {
        match self.send(frame).await {
            Ok(()) | Err(Unsent::Closed) => Ok(()),
            Err(Unsent::TooLarge) => Err(self.too_large("result", frame)),
        }
    }

    /// Bytes that the broker takes in one message, headers included.
    pub(crate) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// An item of a stream, or several in one message.
    pub(crate) async fn item(&self, frame: &Frame) -> Result<(), Error> {
        match self.send(frame).await {
            Ok(()) => Ok(()),
            Err(Unsent::TooLarge) => Err(self.too_large("item", frame)),
            Err(Unsent::Closed) => {
                Err(Error::of(ErrorCode::StreamLost, "the worker has stopped")
                    .executed(Executed::Yes))
            }
        }
    }

    fn too_large(&self, what: &str, frame: &Frame) -> Error {
        let size = match frame {
            Frame::Result(payload) | Frame::Item { payload, .. } => payload.bytes.len(),
            Frame::Items { items, .. } => items.bytes().len(),
            _ => 0,
        };
        let limit = self.max_payload();
        Error::of(
            ErrorCode::PayloadTooLarge,
            format!("the {what} has {size} bytes, above the broker's limit of {limit}"),
        )
        .details(serde_json::json!({ "bytes": size, "max_bytes": limit }))
        .executed(Executed::Yes)
    }

    /// Frames of a few headers, which always fit.
    async fn plain(&self, frame: Frame) {
        if let Err(unsent) = self.send(&frame).await {
            tracing::debug!(?unsent, "reply not sent");
        }
    }

    async fn send(&self, frame: &Frame) -> Result<(), Unsent> {
        let Some(reply) = self.reply.clone() else {
            return Ok(());
        };
        let mut headers = HeaderMap::new();
        let body = frame.encode(|name, value| headers.insert(HeaderName::from_static(name), value));
        let sent = if headers.is_empty() {
            self.client.publish(reply, body).await
        } else {
            self.client.publish_with_headers(reply, headers, body).await
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Unsent::TooLarge,
            PublishErrorKind::InvalidSubject | PublishErrorKind::Send => Unsent::Closed,
        })
    }
}
