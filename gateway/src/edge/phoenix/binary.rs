//! Binary frames of serializer version 2: lengths of one byte each, names, then the payload.
//!
//! ```text
//! from a client  push   0 │ join_ref │ ref │ topic │ event  │ names… │ payload
//! to a client    push   0 │ join_ref │       topic │ event  │ names… │ payload
//!                reply  1 │ join_ref │ ref │ topic │ status │ names… │ payload
//! ```
//!
//! A push to a client has no ref. Phoenix knows a third kind, 2, for broadcasts, which a gateway
//! has no use for.

use std::borrow::Cow;

use bytes::Bytes;
use sluice_protocol::Payload;

use super::frame::{Frame, FrameError, Head, MAX_NAME_BYTES, Ref};

const PUSH: u8 = 0;
const REPLY: u8 = 1;

/// Reads a binary frame of a client.
///
/// # Errors
/// When it is not a push, or shorter than its lengths say, or its names are not UTF-8.
pub fn decode(bytes: &Bytes) -> Result<Frame<'_>, FrameError> {
    let (&kind, rest) = bytes.split_first().ok_or(FrameError::Truncated("kind"))?;
    if kind != PUSH {
        return Err(FrameError::UnknownKind(kind));
    }
    let (sizes, mut rest) = rest
        .split_first_chunk::<4>()
        .ok_or(FrameError::Truncated("lengths"))?;
    let mut next = |what: &'static str, size: u8| {
        let (name, tail) = rest
            .split_at_checked(usize::from(size))
            .ok_or(FrameError::Truncated(what))?;
        rest = tail;
        std::str::from_utf8(name).map_err(|_| FrameError::NotUtf8(what))
    };
    let [join_ref, reference, topic, event] = *sizes;
    Ok(Frame {
        join_ref: optional(next("join_ref", join_ref)?),
        reference: optional(next("ref", reference)?),
        topic: Cow::Borrowed(next("topic", topic)?),
        event: Cow::Borrowed(next("event", event)?),
        payload: Payload::message_pack(bytes.slice_ref(rest)),
    })
}

/// An absent ref is an empty one here.
fn optional(text: &str) -> Option<Ref<'_>> {
    (!text.is_empty()).then_some(Ref::Text(Cow::Borrowed(text)))
}

/// A push to a client.
#[must_use]
pub fn push(head: &Head<'_>, payload: &[u8]) -> Bytes {
    let join_ref = head.join_ref.map_or("", Ref::as_str);
    write(PUSH, [join_ref, head.topic, head.event], payload)
}

/// A reply to a client; its event is always `phx_reply`, and is not said.
#[must_use]
pub fn reply(head: &Head<'_>, status: &str, payload: &[u8]) -> Bytes {
    let join_ref = head.join_ref.map_or("", Ref::as_str);
    let reference = head.reference.map_or("", Ref::as_str);
    write(REPLY, [join_ref, reference, head.topic, status], payload)
}

fn write<const N: usize>(kind: u8, names: [&str; N], payload: &[u8]) -> Bytes {
    // The decoders and the check of the options see to it that no name is longer; should one be,
    // its end is missing, and the frame is still sound.
    let names = names.map(|name| &name[..name.floor_char_boundary(MAX_NAME_BYTES)]);
    let size: usize = names.iter().map(|name| name.len()).sum();
    let mut out = Vec::with_capacity(1 + N + size + payload.len());
    out.push(kind);
    out.extend(names.iter().map(|name| name.len() as u8));
    for name in names {
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(payload);
    Bytes::from(out)
}
