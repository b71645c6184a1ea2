//! Text frames: serializer version 2 (arrays) and version 1 (objects).
//!
//! A payload stays as it came: the decoder hands out its bytes, and answers are written straight
//! into their frame. What strangers send decodes to a [`Frame`] or to a [`FrameError`], whatever
//! it is.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use sluice_protocol::Payload;
use sluice_protocol::scan::write_string as write_str;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use super::frame::{Frame, FrameError, Head, MAX_NAME_BYTES, Ref, Vsn};

/// Reads a text frame.
///
/// # Errors
/// When it is not a frame of that version.
pub fn decode(vsn: Vsn, text: &Utf8Bytes) -> Result<Frame<'_>, FrameError> {
    let parts = match vsn {
        Vsn::V1 => decode_object(text),
        Vsn::V2 => decode_array(text),
    };
    let parts = parts.map_err(|e| malformed(vsn, e))?;
    let whole: &bytes::Bytes = text.as_ref();
    Ok(Frame {
        join_ref: read_ref(vsn, "join_ref", parts.join_ref)?,
        reference: read_ref(vsn, "ref", parts.reference)?,
        topic: short("topic", parts.topic)?,
        event: short("event", parts.event)?,
        payload: Payload::json(whole.slice_ref(parts.payload.get().as_bytes())),
    })
}

/// A frame whose names nobody has checked yet.
struct Parts<'a> {
    join_ref: Option<&'a RawValue>,
    reference: Option<&'a RawValue>,
    topic: Cow<'a, str>,
    event: Cow<'a, str>,
    payload: &'a RawValue,
}

// Borrows where the text has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

// As in Phoenix, unknown keys are ignored. Clients that want no reply may leave the refs out.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    join_ref: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

fn decode_object(text: &str) -> serde_json::Result<Parts<'_>> {
    // A derived decoder takes arrays as well.
    if !text.trim_start().starts_with('{') {
        return Err(serde::de::Error::custom("an object was expected"));
    }
    let object: Object<'_> = serde_json::from_str(text)?;
    Ok(Parts {
        join_ref: object.join_ref,
        reference: object.reference,
        topic: object.topic.0,
        event: object.event.0,
        payload: object.payload,
    })
}

fn decode_array(text: &str) -> serde_json::Result<Parts<'_>> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Parts<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of join_ref, ref, topic, event and payload")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut seq: A,
        ) -> Result<Parts<'de>, A::Error> {
            let missing = |n| serde::de::Error::invalid_length(n, &self);
            let parts = Parts {
                join_ref: seq.next_element()?.ok_or_else(|| missing(0))?,
                reference: seq.next_element()?.ok_or_else(|| missing(1))?,
                topic: seq
                    .next_element::<Text<'de>>()?
                    .ok_or_else(|| missing(2))?
                    .0,
                event: seq
                    .next_element::<Text<'de>>()?
                    .ok_or_else(|| missing(3))?
                    .0,
                payload: seq.next_element()?.ok_or_else(|| missing(4))?,
            };
            // Later versions may add to the end; Phoenix ignores it too.
            while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(parts)
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let parts = serde::Deserializer::deserialize_seq(&mut json, Visitor)?;
    json.end()?;
    Ok(parts)
}

fn malformed(vsn: Vsn, reason: impl std::fmt::Display) -> FrameError {
    FrameError::Malformed {
        version: match vsn {
            Vsn::V1 => "1.0.0",
            Vsn::V2 => "2.0.0",
        },
        reason: reason.to_string(),
    }
}

fn read_ref<'a>(
    vsn: Vsn,
    what: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<Option<Ref<'a>>, FrameError> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Ok(None);
    };
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text: Text<'a> = serde_json::from_str(raw).map_err(|e| malformed(vsn, e))?;
            short(what, text.0).map(|text| Some(Ref::Text(text)))
        }
        Some(b'-' | b'0'..=b'9') => {
            short(what, Cow::Borrowed(raw)).map(|text| Some(Ref::Number(text)))
        }
        _ => Err(malformed(
            vsn,
            format_args!("{what} must be a string, a number or null"),
        )),
    }
}

fn short<'a>(what: &'static str, text: Cow<'a, str>) -> Result<Cow<'a, str>, FrameError> {
    if text.len() > MAX_NAME_BYTES {
        return Err(FrameError::TooLong {
            what,
            got: text.len(),
        });
    }
    Ok(text)
}

/// Appends a frame up to where its payload goes.
pub fn begin(vsn: Vsn, head: &Head<'_>, out: &mut Vec<u8>) {
    before_ref(vsn, head, out);
    write_ref(out, head.reference);
    after_ref(vsn, head, out);
}

/// The same without its ref, for frames that differ in nothing else: what stands before it, and
/// after it.
pub(super) fn around_ref(vsn: Vsn, head: &Head<'_>) -> (Vec<u8>, Vec<u8>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    before_ref(vsn, head, &mut before);
    after_ref(vsn, head, &mut after);
    (before, after)
}

fn before_ref(vsn: Vsn, head: &Head<'_>, out: &mut Vec<u8>) {
    match vsn {
        Vsn::V1 => {
            out.extend_from_slice(b"{\"topic\":");
            write_str(out, head.topic);
            out.extend_from_slice(b",\"event\":");
            write_str(out, head.event);
            out.extend_from_slice(b",\"ref\":");
        }
        Vsn::V2 => {
            out.push(b'[');
            write_ref(out, head.join_ref);
            out.push(b',');
        }
    }
}

fn after_ref(vsn: Vsn, head: &Head<'_>, out: &mut Vec<u8>) {
    match vsn {
        Vsn::V1 => out.extend_from_slice(b",\"payload\":"),
        Vsn::V2 => {
            out.push(b',');
            write_str(out, head.topic);
            out.push(b',');
            write_str(out, head.event);
            out.push(b',');
        }
    }
}

/// Appends what follows the payload.
pub fn finish(vsn: Vsn, out: &mut Vec<u8>) {
    out.push(match vsn {
        Vsn::V1 => b'}',
        Vsn::V2 => b']',
    });
}

pub(super) fn write_ref(out: &mut Vec<u8>, reference: Option<&Ref<'_>>) {
    match reference {
        None => out.extend_from_slice(b"null"),
        Some(Ref::Text(text)) => write_str(out, text),
        Some(Ref::Number(text)) => out.extend_from_slice(text.as_bytes()),
    }
}
