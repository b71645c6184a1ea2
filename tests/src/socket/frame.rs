use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{Error, Result};

/// What a gateway sent.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are frames, and none is kept"
)]
pub enum Received {
    /// A text frame of version 2.
    Frame(Frame),
    /// A binary frame, as it came.
    Binary(Bytes),
    /// The end of the socket.
    Closed(Closed),
}

/// One text frame: `[join_ref, ref, topic, event, payload]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The join of its channel.
    pub join_ref: Value,
    /// The push that it replies to.
    pub reference: Value,
    /// The channel.
    pub topic: String,
    /// What it is about.
    pub event: String,
    /// A reply's status and response, a response, or what the event has.
    pub payload: Value,
}

impl Frame {
    pub(super) fn text(text: &str) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| Error::because(format!("frame {text}"), why);
        let parts = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        let (join_ref, reference, topic, event, payload) = parts;
        Ok(Self {
            join_ref,
            reference,
            topic,
            event,
            payload,
        })
    }

    /// If it is the reply of the push with this ref.
    pub fn is_reply_to(&self, reference: u64) -> bool {
        let to = self.reference.as_str().and_then(|to| to.parse().ok());
        self.event == "phx_reply" && to == Some(reference)
    }
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code; 1005 if the close frame had none, 1006 if there was no close frame.
    pub code: u16,
    /// What the gateway said of it.
    pub reason: String,
}

impl Closed {
    pub(super) fn with(close: Option<CloseFrame>) -> Self {
        close.map_or(
            Self {
                code: 1005,
                reason: String::new(),
            },
            |close| Self {
                code: close.code.into(),
                reason: close.reason.to_string(),
            },
        )
    }

    pub(super) fn without_a_word() -> Self {
        Self {
            code: 1006,
            reason: String::new(),
        }
    }
}
