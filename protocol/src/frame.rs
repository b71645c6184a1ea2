//! What a worker sends back: results, errors, stream items, and signs of life.
//!
//! A sync success is the bare result with no headers but, for MessagePack, its `Content-Type`.
//! Everything else names its kind. The first final frame of a call wins.

use bytes::Bytes;

use crate::batch::Batch;
use crate::error::{CallError, ErrorCode, ErrorSource, Executed};
use crate::headers as h;
use crate::payload::{Encoding, Payload};

/// One reply message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The result of a sync or async call; final.
    Result(Payload),
    /// One item of a stream.
    Item {
        /// From 1, without gaps.
        seq: u64,
        /// The item.
        payload: Payload,
        /// Whether this is the stream's last word: final, no end frame follows.
        last: bool,
    },
    /// Several items of a stream in one message; only where the call asked for it
    /// ([`h::BATCH`]).
    Items {
        /// The number of the first; the others follow it without gaps.
        first: u64,
        /// The items.
        items: Batch,
        /// Whether the last of them is the stream's last word.
        last: bool,
    },
    /// The end of a stream; final.
    End {
        /// How many items the stream had.
        count: u64,
    },
    /// The call failed; final.
    Error {
        /// Why.
        error: Box<CallError>,
        /// Who says so.
        instance: Option<String>,
    },
    /// The handler is still at work.
    Beat {
        /// Where.
        instance: String,
        /// Items sent so far.
        seq: u64,
    },
    /// The worker took the call: the success of `none`, the start of async and streams.
    Accepted {
        /// Where.
        instance: String,
    },
}

/// A reply that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// `Sluice-Kind` is none of ours.
    #[error("reply of unknown kind {0:?}")]
    Kind(String),
    /// A header that the kind needs is missing or malformed.
    #[error("reply header {0} is missing or malformed")]
    Header(&'static str),
    /// The body of a batch is none.
    #[error("its body is no batch of items, each behind its length")]
    Items,
}

/// Reply kinds on the wire.
mod kind {
    pub(super) const ITEM: &str = "item";
    pub(super) const ITEMS: &str = "items";
    pub(super) const END: &str = "end";
    pub(super) const ERROR: &str = "error";
    pub(super) const BEAT: &str = "beat";
    pub(super) const ACCEPTED: &str = "accepted";
}

impl Frame {
    /// Whether nothing may follow this frame.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Result(_) | Self::End { .. } | Self::Error { .. } => true,
            Self::Item { last, .. } | Self::Items { last, .. } => *last,
            Self::Beat { .. } | Self::Accepted { .. } => false,
        }
    }

    /// Reads a reply; `get` finds a header by name. Does not look into the value.
    ///
    /// # Errors
    /// When the kind is unknown or a header that it needs is missing or malformed.
    pub fn decode<'a>(
        get: impl Fn(&'static str) -> Option<&'a str>,
        body: Bytes,
    ) -> Result<Self, InvalidFrame> {
        let number = |name| {
            get(name)
                .and_then(|v: &str| v.parse::<u64>().ok())
                .ok_or(InvalidFrame::Header(name))
        };
        let instance = || {
            let name = get(h::INSTANCE).and_then(h::decode_value)?;
            // A name that nobody can register is none.
            crate::id::check("instance", &name).ok()?;
            Some(name.into_owned())
        };
        let required = || instance().ok_or(InvalidFrame::Header(h::INSTANCE));
        let encoding = get(h::CONTENT_TYPE)
            .map_or(Some(Encoding::Json), Encoding::from_media_type)
            .ok_or(InvalidFrame::Header(h::CONTENT_TYPE));
        let payload = |body: Bytes| -> Result<Payload, InvalidFrame> {
            match get(h::HTTP) {
                Some(head) if head.len() > crate::http::MAX_HEAD_BYTES => {
                    Err(InvalidFrame::Header(h::HTTP))
                }
                Some(head) => Ok(Payload::http(head, &body)),
                None => Ok(Payload {
                    encoding: encoding.clone()?,
                    bytes: body,
                }),
            }
        };
        match get(h::KIND) {
            None if get(h::SERVICE_ERROR).is_some() || get(h::SERVICE_ERROR_CODE).is_some() => {
                Ok(Self::Error {
                    error: Box::new(decode_error(&get, &body)),
                    instance: instance(),
                })
            }
            None => Ok(Self::Result(payload(body)?)),
            Some(kind::ITEM) => Ok(Self::Item {
                seq: number(h::SEQ)?,
                payload: payload(body)?,
                last: get(h::LAST) == Some("true"),
            }),
            Some(kind::ITEMS) => {
                if get(h::HTTP).is_some() {
                    return Err(InvalidFrame::Header(h::HTTP));
                }
                let (first, encoding) = (number(h::SEQ)?, encoding?);
                let items = Batch::parse(encoding, body).ok_or(InvalidFrame::Items)?;
                if first.checked_add(items.len() as u64).is_none() {
                    return Err(InvalidFrame::Header(h::SEQ));
                }
                let last = get(h::LAST) == Some("true");
                Ok(Self::Items { first, items, last })
            }
            Some(kind::END) => Ok(Self::End {
                count: number(h::SEQ)?,
            }),
            Some(kind::ERROR) => Ok(Self::Error {
                error: Box::new(decode_error(&get, &body)),
                instance: instance(),
            }),
            Some(kind::BEAT) => Ok(Self::Beat {
                instance: required()?,
                seq: number(h::SEQ)?,
            }),
            Some(kind::ACCEPTED) => Ok(Self::Accepted {
                instance: required()?,
            }),
            Some(other) => Err(InvalidFrame::Kind(other.chars().take(40).collect())),
        }
    }

    /// Hands each header to `put` and returns the body.
    pub fn encode(&self, mut put: impl FnMut(&'static str, &str)) -> Bytes {
        let mut number = itoa::Buffer::new();
        let content = |put: &mut dyn FnMut(&'static str, &str), payload: &Payload| {
            if let Some((head, body)) = payload.split_http() {
                put(h::HTTP, head);
                return body;
            }
            if payload.encoding != Encoding::Json {
                put(h::CONTENT_TYPE, payload.encoding.media_type());
            }
            payload.bytes.clone()
        };
        match self {
            Self::Result(payload) => content(&mut put, payload),
            Self::Item { seq, payload, last } => {
                put(h::KIND, kind::ITEM);
                put(h::SEQ, number.format(*seq));
                if *last {
                    put(h::LAST, "true");
                }
                content(&mut put, payload)
            }
            Self::Items { first, items, last } => {
                put(h::KIND, kind::ITEMS);
                put(h::SEQ, number.format(*first));
                if *last {
                    put(h::LAST, "true");
                }
                if items.encoding() != Encoding::Json {
                    put(h::CONTENT_TYPE, items.encoding().media_type());
                }
                items.bytes().clone()
            }
            Self::End { count } => {
                put(h::KIND, kind::END);
                put(h::SEQ, number.format(*count));
                Bytes::new()
            }
            Self::Error { error, instance } => {
                put(h::KIND, kind::ERROR);
                if let Some(instance) = instance {
                    put(h::INSTANCE, &h::encode_value(instance));
                }
                encode_error(error, put)
            }
            Self::Beat { instance, seq } => {
                put(h::KIND, kind::BEAT);
                put(h::INSTANCE, &h::encode_value(instance));
                put(h::SEQ, number.format(*seq));
                Bytes::new()
            }
            Self::Accepted { instance } => {
                put(h::KIND, kind::ACCEPTED);
                put(h::INSTANCE, &h::encode_value(instance));
                Bytes::new()
            }
        }
    }
}

/// Most bytes of an error's text that are passed on.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Codes that a worker may use for the gateway to act upon; all others are the function's own.
fn worker_may_say(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::WorkerError
            | ErrorCode::Overloaded
            | ErrorCode::InvalidArguments
            | ErrorCode::InvalidRequest
            | ErrorCode::PermissionDenied
            | ErrorCode::UnknownFunction
            | ErrorCode::Cancelled
            | ErrorCode::Timeout
            | ErrorCode::PayloadTooLarge
            | ErrorCode::PayloadIncomplete
            | ErrorCode::StreamLost
            | ErrorCode::Internal
    )
}

fn decode_error<'a>(get: &impl Fn(&'static str) -> Option<&'a str>, body: &[u8]) -> CallError {
    let text = |name| get(name).and_then(h::decode_value).map(|t| t.into_owned());
    let code_text = text(h::ERROR_CODE).filter(|c| crate::id::check("code", c).is_ok());
    let known = code_text
        .as_deref()
        .and_then(ErrorCode::parse)
        .filter(|c| worker_may_say(*c));
    let executed = get(h::EXECUTED)
        .and_then(Executed::parse)
        .unwrap_or(Executed::Yes);
    let message = text(h::SERVICE_ERROR)
        .filter(|m| !m.is_empty())
        .map(shortened);
    CallError {
        code: known.unwrap_or(ErrorCode::WorkerError),
        custom_code: if known.is_some() { None } else { code_text },
        message: message.unwrap_or_else(|| "the function failed without a message".to_owned()),
        source: ErrorSource::Worker,
        can_retry: get(h::RETRY) == Some("true"),
        executed,
        status: get(h::SERVICE_ERROR_CODE).and_then(|s| s.parse().ok()),
        details: serde_json::from_slice(body).ok().map(Box::new),
    }
}

/// Texts of errors are for people: what is longer is cut.
fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    message
}

fn encode_error(error: &CallError, mut put: impl FnMut(&'static str, &str)) -> Bytes {
    put(h::SERVICE_ERROR, &h::encode_value(&error.message));
    put(
        h::SERVICE_ERROR_CODE,
        itoa::Buffer::new().format(error.http_status()),
    );
    put(h::ERROR_CODE, &h::encode_value(error.code_text()));
    put(h::RETRY, if error.can_retry { "true" } else { "false" });
    put(h::EXECUTED, error.executed.as_str());
    error
        .details
        .as_ref()
        .and_then(|d| serde_json::to_vec(d).ok())
        .map(Bytes::from)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn round_trip(frame: &Frame) -> Result<Frame, InvalidFrame> {
        let mut map = HashMap::new();
        let body = frame.encode(|name, value| {
            map.insert(name, value.to_owned());
        });
        Frame::decode(|n| map.get(n).map(String::as_str), body)
    }

    fn items(encoding: Encoding, first: u64, last: bool) -> Frame {
        let mut builder = BatchBuilder::default();
        assert!(builder.push(b"1") && builder.push(b"22"));
        let items = builder.take(encoding).unwrap();
        Frame::Items { first, items, last }
    }

    #[test]
    fn batches_that_make_no_sense() {
        let (max, two) = (u64::MAX.to_string(), &b"\0\0\0\x011\0\0\0\x012"[..]);
        let header = InvalidFrame::Header;
        for (name, value, body, error) in [
            (h::SEQ, None, two, header(h::SEQ)),
            (h::SEQ, Some(max.as_str()), two, header(h::SEQ)),
            (h::HTTP, Some("{}"), two, header(h::HTTP)),
            (h::CONTENT_TYPE, Some("x"), two, header(h::CONTENT_TYPE)),
            (h::LAST, Some("true"), b"", InvalidFrame::Items),
            (h::LAST, None, b"\0\0\0\x02x", InvalidFrame::Items),
        ] {
            let get = |n: &str| match n {
                h::KIND => Some("items"),
                n if n == name => value,
                h::SEQ => Some("1"),
                _ => None,
            };
            let read = Frame::decode(get, Bytes::from_static(body));
            assert_eq!(read, Err(error), "{name}: {value:?}");
        }
    }

    #[test]
    fn frames_round_trip() {
        let mut error = CallError::new(ErrorCode::WorkerError, "no such user: é")
            .with_detail("id", 7)
            .with_executed(Executed::Yes, false);
        error.custom_code = Some("user_not_found".into());
        error.status = Some(404);
        for frame in [
            Frame::Result(Payload::json("{}")),
            Frame::Result(Payload::message_pack(vec![0x80])),
            Frame::Result(Payload::http(r#"{"status":200}"#, b"<html>")),
            Frame::Item {
                seq: 3,
                payload: Payload::json("1"),
                last: false,
            },
            Frame::Item {
                seq: 4,
                payload: Payload::json("1"),
                last: true,
            },
            Frame::End { count: 3 },
            Frame::Error {
                error: Box::new(error),
                instance: Some("i 1".into()),
            },
            Frame::Beat {
                instance: "i".into(),
                seq: 2,
            },
            Frame::Accepted {
                instance: "i".into(),
            },
            items(Encoding::Json, 1, false),
            items(Encoding::MessagePack, 7, true),
        ] {
            assert_eq!(round_trip(&frame), Ok(frame));
        }
    }

    #[test]
    fn a_worker_cannot_speak_for_the_gateway() {
        let headers = |n: &str| match n {
            h::SERVICE_ERROR => Some("x"),
            h::ERROR_CODE => Some("rate_limited"),
            _ => None,
        };
        let Ok(Frame::Error { error, .. }) = Frame::decode(headers, Bytes::new()) else {
            panic!("not an error");
        };
        assert_eq!(error.code, ErrorCode::WorkerError);
        assert_eq!(error.code_text(), "rate_limited");
        assert_eq!(error.source, ErrorSource::Worker);
    }

    #[test]
    fn long_texts_are_cut_and_names_that_are_none_are_left_out() {
        let (text, name) = ("é".repeat(100_000), "x".repeat(200));
        let headers = |n: &str| match n {
            h::SERVICE_ERROR => Some(text.as_str()),
            h::INSTANCE => Some(name.as_str()),
            _ => None,
        };
        let Ok(Frame::Error { error, instance }) = Frame::decode(headers, Bytes::new()) else {
            panic!("not an error");
        };
        assert!(error.message.len() <= MAX_MESSAGE_BYTES + "…".len());
        assert_eq!(instance, None);
    }

    proptest! {
        #[test]
        fn strangers_replies_never_panic(
            kind in proptest::option::of(prop_oneof!["items?|end|error|beat|accepted", ".{0,9}"]),
            seq in proptest::option::of(".{0,22}"),
            rest in ".{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let get = |n: &str| match n {
                h::KIND => kind.as_deref(),
                h::SEQ => seq.as_deref(),
                _ => Some(rest.as_str()),
            };
            let _ = Frame::decode(get, Bytes::from(body));
        }
    }
}
