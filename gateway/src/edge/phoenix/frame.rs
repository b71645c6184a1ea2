//! Frames of Phoenix Channels, apart from how they are written: see [`super::text`] and
//! [`super::binary`].

use std::borrow::Cow;

use sluice_protocol::Payload;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The longest ref, topic and event, in bytes: what a binary frame can say of their length.
pub const MAX_NAME_BYTES: usize = 255;

/// The event that ends a stream.
pub const STOP_STREAM: &str = "stop_stream";
/// The event that brings a newer token.
pub const RENEW_TOKEN: &str = "renew_token";

/// The version of the serializer, `vsn` in the query of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vsn {
    /// `1.0.0`: objects, text only.
    V1,
    /// `2.0.0`: arrays, and binary frames.
    V2,
}

/// What a client chose to tell replies and joins apart: a string or a number, echoed as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ref<'a> {
    /// As the npm package sends it.
    Text(Cow<'a, str>),
    /// As some other clients send it; the JSON number.
    Number(Cow<'a, str>),
}

impl Ref<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Ref<'static> {
        match self {
            Self::Text(text) => Ref::Text(Cow::Owned(text.into_owned())),
            Self::Number(text) => Ref::Number(Cow::Owned(text.into_owned())),
        }
    }

    /// The ref as binary frames have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The `ref` of the join of its channel.
    pub join_ref: Option<Ref<'a>>,
    /// What its reply is to name.
    pub reference: Option<Ref<'a>>,
    /// The channel.
    pub topic: Cow<'a, str>,
    /// What it is about.
    pub event: Cow<'a, str>,
    /// Any JSON value; of a binary frame, MessagePack that nobody has looked into.
    pub payload: Payload,
}

/// Why bytes are not a frame. The socket cannot go on: nothing says what they were to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON, or not of the version's shape.
    #[error("not a frame of serializer {version}: {reason}")]
    Malformed {
        /// The serializer's version.
        version: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A ref, topic or event above [`MAX_NAME_BYTES`].
    #[error("{what} has {got} bytes, at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// Its length.
        got: usize,
    },
    /// A binary frame for the serializer that has none.
    #[error("binary frames need vsn=2.0.0")]
    BinaryUnsupported,
    /// A binary frame of a kind that clients do not send.
    #[error("binary frames of kind {0} are not taken from clients")]
    UnknownKind(u8),
    /// A binary frame that ends before its names do.
    #[error("the binary frame ends within its {0}")]
    Truncated(&'static str),
    /// A name in a binary frame that is not UTF-8.
    #[error("the {0} of the binary frame is not UTF-8")]
    NotUtf8(&'static str),
}

impl FrameError {
    /// The close code that says it best (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Malformed { .. } | Self::Truncated(_) | Self::NotUtf8(_) => CloseCode::Invalid,
            Self::TooLong { .. } => CloseCode::Size,
            Self::BinaryUnsupported | Self::UnknownKind(_) => CloseCode::Unsupported,
        }
    }
}

/// All of a frame to a client but its payload.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The join of the channel.
    pub join_ref: Option<&'a Ref<'a>>,
    /// The push that is replied to.
    pub reference: Option<&'a Ref<'a>>,
    /// The channel.
    pub topic: &'a str,
    /// What it is about.
    pub event: &'a str,
}
