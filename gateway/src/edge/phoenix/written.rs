//! Replies and pushes as messages of the transport.

use std::convert::Infallible;

use bytes::Bytes;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Executed};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use super::frame::{Head, Vsn};
use super::text;

/// The event of replies.
pub(super) const REPLY: &str = "phx_reply";

/// What a `phx_reply` says of the push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Error,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// A `phx_reply` with a JSON response of the gateway's own, also where there is no channel.
pub(super) fn reply(vsn: Vsn, head: &Head<'_>, status: Status, response: &str) -> Message {
    reply_of(vsn, head, status, response.as_bytes())
}

pub(super) fn reply_of(vsn: Vsn, head: &Head<'_>, status: Status, response: &[u8]) -> Message {
    let head = Head {
        event: REPLY,
        ..*head
    };
    let mut out = Vec::with_capacity(96 + head.topic.len() + response.len());
    text::begin(vsn, &head, &mut out);
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(response);
        Ok::<_, Infallible>(())
    };
    let Ok(made) = reply_payload(vsn, out, status, write);
    lossless(made)
}

/// Appends the payload of a `phx_reply`, whose response is written straight into it.
pub(super) fn reply_payload<E>(
    vsn: Vsn,
    mut out: Vec<u8>,
    status: Status,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    out.extend_from_slice(match status {
        Status::Ok => br#"{"status":"ok","response":"#,
        Status::Error => br#"{"status":"error","response":"#,
    });
    write(&mut out)?;
    out.push(b'}');
    text::finish(vsn, &mut out);
    Ok(out)
}

/// What a worker sent is spliced in unread: that it is text shows only here.
pub(super) fn checked(out: Vec<u8>) -> Result<Message, String> {
    Utf8Bytes::try_from(Bytes::from(out))
        .map(Message::Text)
        .map_err(|_| "it is not UTF-8".to_owned())
}

/// A frame that was made of text alone.
pub(super) fn lossless(out: Vec<u8>) -> Message {
    match String::from_utf8(out) {
        Ok(text) => Message::Text(text.into()),
        Err(error) => Message::Text(
            String::from_utf8_lossy(error.as_bytes())
                .into_owned()
                .into(),
        ),
    }
}

pub(super) fn unfit(reason: &str) -> Answer {
    let text = format!("the result cannot be sent in the encoding of its call: {reason}");
    CallError::new(ErrorCode::WorkerError, text)
        .with_executed(Executed::Yes, false)
        .into()
}
