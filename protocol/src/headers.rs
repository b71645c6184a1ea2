//! NATS headers of calls and replies: names, and the values of a call.
//!
//! Values that come from clients or tokens are percent-encoded UTF-8 ([`encode_value`]), so that
//! no client can add a header or a line. Unknown headers are ignored.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::identity::Identity;
use crate::payload::Encoding;

/// The wire protocol's version, [`crate::PROTOCOL_VERSION`].
pub const PROTOCOL: &str = "Sluice-Protocol";
/// The gateway's id of the attempt: what cancel, credit and ping name.
pub const CALL_ID: &str = "Sluice-Call";
/// The client's id of the request, percent-encoded.
pub const REQUEST_ID: &str = "Sluice-Request-Id";
/// The verified user, percent-encoded; absent: anonymous.
pub const USER: &str = "Sluice-User";
/// The verified roles, each percent-encoded, joined by commas.
pub const ROLES: &str = "Sluice-Roles";
/// The device, percent-encoded.
pub const DEVICE: &str = "Sluice-Device";
/// Milliseconds that are left until the caller gives up, when the message was sent.
pub const DEADLINE: &str = "Sluice-Deadline";
/// 2 for the first retry; absent: 1, the first attempt.
pub const ATTEMPT: &str = "Sluice-Attempt";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context: what other tracing systems added to it.
pub const TRACESTATE: &str = "tracestate";
/// `<items>,<bytes>`: what a stream may send before it needs more credit.
pub const CREDIT: &str = "Sluice-Credit";
/// `1` in the call of a stream: its caller understands batches ([`crate::batch`]). Absent, or of a
/// form that is not known: each item has to come by itself.
pub const BATCH: &str = "Sluice-Batch";
/// `pending`: the SDK checks permission and args, after its own changes.
pub const PERMISSION: &str = "Sluice-Permission";
/// The version that the client named, percent-encoded: only where [`PERMISSION`] is `pending`, and
/// then the SDK translates, too.
pub const API_VERSION: &str = "Sluice-Api-Version";
/// Media type of the body; absent: JSON.
pub const CONTENT_TYPE: &str = "Content-Type";
/// `<i>/<n>`, from 1: a part of a payload above `max_payload`.
pub const CHUNK: &str = "Sluice-Chunk";
/// Total bytes, in the first chunk.
pub const SIZE: &str = "Sluice-Size";
/// What a reply is: see [`crate::frame`]. Absent: a result or an error.
pub const KIND: &str = "Sluice-Kind";
/// A stream item's number from 1, of a batch the first item's; in beats and ends: how many items were sent.
pub const SEQ: &str = "Sluice-Seq";
/// `true` on an item that is the stream's last word, or on a batch whose last item is: no end
/// follows.
pub const LAST: &str = "Sluice-Last";
/// The head of an HTTP message, in calls to resources and their answers: see [`crate::http`].
pub const HTTP: &str = "Sluice-Http";
/// The instance that replies.
pub const INSTANCE: &str = "Sluice-Instance";
/// Our error code.
pub const ERROR_CODE: &str = "Sluice-Error";
/// `true` or `false`: whether the same call may be sent again.
pub const RETRY: &str = "Sluice-Retry";
/// `no`, `unknown` or `yes`: whether the function ran.
pub const EXECUTED: &str = "Sluice-Executed";
/// The error's text (ADR-32), percent-encoded.
pub const SERVICE_ERROR: &str = "Nats-Service-Error";
/// The error's status (ADR-32).
pub const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// `<counter>-<random>`, in signed registry messages.
pub const NONCE: &str = "Sluice-Nonce";
/// HMAC-SHA-256 in hex, in signed registry messages.
pub const SIGNATURE: &str = "Sluice-Signature";

// Space, comma and percent besides controls and non-ASCII, so that lists can be split again.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b',').add(b'%');

/// A text as a header value.
#[must_use]
pub fn encode_value(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

/// The text of a header value; `None` if it is not percent-encoded UTF-8.
#[must_use]
pub fn decode_value(value: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(value).decode_utf8().ok()
}

/// Says that the args are those of version `api_version`: the worker translates them, and checks
/// permission and args afterwards.
pub fn encode_pending(api_version: &str, mut put: impl FnMut(&'static str, &str)) {
    put(PERMISSION, "pending");
    put(API_VERSION, &encode_value(api_version));
}

/// Reads what [`encode_pending`] wrote: the client's version, or that all was checked.
///
/// # Errors
/// When the two headers make no sense: such a call must not run.
pub fn decode_pending<'a>(
    get: impl Fn(&'static str) -> Option<&'a str>,
) -> Result<Option<String>, InvalidHeaders> {
    match (get(PERMISSION), get(API_VERSION).map(decode_value)) {
        (None, None) => Ok(None),
        (Some("pending"), Some(Some(version))) => Ok(Some(version.into_owned())),
        (Some("pending") | None, _) => Err(InvalidHeaders::Malformed(API_VERSION)),
        (Some(_), _) => Err(InvalidHeaders::Malformed(PERMISSION)),
    }
}

/// How much a stream may send: cumulative, "up to item N and byte B".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Items since the stream's start.
    pub items: u64,
    /// Bytes of items since the stream's start.
    pub bytes: u64,
}

impl Credit {
    /// `<items>,<bytes>`.
    #[must_use]
    pub fn to_value(self) -> String {
        format!("{},{}", self.items, self.bytes)
    }

    /// Reads [`Self::to_value`].
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (items, bytes) = value.split_once(',')?;
        Some(Self {
            items: items.parse().ok()?,
            bytes: bytes.parse().ok()?,
        })
    }
}

/// All headers of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallHeaders {
    /// The gateway's id of the attempt.
    pub call_id: String,
    /// The client's id of the request.
    pub request_id: String,
    /// For whom.
    pub identity: Identity,
    /// Milliseconds left.
    pub deadline_ms: u64,
    /// From 1.
    pub attempt: u32,
    /// W3C Trace Context, passed on as it came.
    pub traceparent: Option<String>,
    /// Initial credit; streams only.
    pub credit: Option<Credit>,
    /// Whether the caller understands batches of items; streams only.
    pub batch: bool,
    /// Encoding of the args, and of the result that is wanted.
    pub encoding: Encoding,
}

/// A call's headers that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaders {
    /// A header that every call has is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header has a value that is none.
    #[error("header {0} has a malformed value")]
    Malformed(&'static str),
    /// The call speaks a newer protocol.
    #[error("protocol version {0} is not supported")]
    Protocol(String),
}

/// [`CallHeaders`] whose texts belong to somebody else: for writing them without a copy.
#[derive(Debug, Clone, Copy)]
pub struct BorrowedCallHeaders<'a> {
    /// The gateway's id of the attempt.
    pub call_id: &'a str,
    /// The client's id of the request.
    pub request_id: &'a str,
    /// For whom.
    pub identity: &'a Identity,
    /// Milliseconds left.
    pub deadline_ms: u64,
    /// From 1.
    pub attempt: u32,
    /// W3C Trace Context, passed on as it came.
    pub traceparent: Option<&'a str>,
    /// Initial credit; streams only.
    pub credit: Option<Credit>,
    /// Whether the caller understands batches of items; streams only.
    pub batch: bool,
    /// Encoding of the args, and of the result that is wanted.
    pub encoding: Encoding,
}

impl BorrowedCallHeaders<'_> {
    /// Hands each header to `put`, name and encoded value.
    pub fn encode(&self, mut put: impl FnMut(&'static str, &str)) {
        let mut number = itoa::Buffer::new();
        put(PROTOCOL, number.format(crate::PROTOCOL_VERSION));
        put(CALL_ID, self.call_id);
        put(REQUEST_ID, &encode_value(self.request_id));
        put(DEADLINE, number.format(self.deadline_ms));
        // What is not said costs nobody anything: most calls are first attempts in JSON.
        if self.attempt != 1 {
            put(ATTEMPT, number.format(self.attempt));
        }
        if self.encoding != Encoding::Json {
            put(CONTENT_TYPE, self.encoding.media_type());
        }
        if let Some(user) = &self.identity.user_id {
            put(USER, &encode_value(user));
        }
        if let Some(device) = &self.identity.device_id {
            put(DEVICE, &encode_value(device));
        }
        if !self.identity.roles.is_empty() {
            let roles: Vec<_> = self
                .identity
                .roles
                .iter()
                .map(|r| encode_value(r))
                .collect();
            put(ROLES, &roles.join(","));
        }
        if let Some(trace) = self.traceparent {
            put(TRACEPARENT, &encode_value(trace));
        }
        if let Some(credit) = self.credit {
            put(CREDIT, &credit.to_value());
        }
        if self.batch {
            put(BATCH, "1");
        }
    }
}

impl CallHeaders {
    /// Hands each header to `put`, name and encoded value.
    pub fn encode(&self, put: impl FnMut(&'static str, &str)) {
        let borrowed = BorrowedCallHeaders {
            call_id: &self.call_id,
            request_id: &self.request_id,
            identity: &self.identity,
            deadline_ms: self.deadline_ms,
            attempt: self.attempt,
            traceparent: self.traceparent.as_deref(),
            credit: self.credit,
            batch: self.batch,
            encoding: self.encoding,
        };
        borrowed.encode(put);
    }

    /// Reads what [`Self::encode`] wrote; `get` finds a header by name.
    ///
    /// # Errors
    /// When a header is missing or malformed, or the protocol's version is another.
    pub fn decode<'a>(
        get: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self, InvalidHeaders> {
        let text = |name| {
            get(name)
                .map(|v| {
                    decode_value(v)
                        .map(Cow::into_owned)
                        .ok_or(InvalidHeaders::Malformed(name))
                })
                .transpose()
        };
        let required = |name| text(name)?.ok_or(InvalidHeaders::Missing(name));
        let protocol = required(PROTOCOL)?;
        if protocol.parse() != Ok(crate::PROTOCOL_VERSION) {
            return Err(InvalidHeaders::Protocol(protocol));
        }
        let roles = get(ROLES)
            .map(|list| {
                list.split(',')
                    .map(|r| decode_value(r).map(Cow::into_owned))
                    .collect()
            })
            .unwrap_or_else(|| Some(Vec::new()))
            .ok_or(InvalidHeaders::Malformed(ROLES))?;
        let number = |name| {
            required(name)?
                .parse::<u64>()
                .map_err(|_| InvalidHeaders::Malformed(name))
        };
        let encoding = get(CONTENT_TYPE).map_or(Some(Encoding::Json), Encoding::from_media_type);
        Ok(Self {
            call_id: required(CALL_ID)?,
            request_id: required(REQUEST_ID)?,
            identity: Identity {
                user_id: text(USER)?,
                device_id: text(DEVICE)?,
                roles,
            },
            deadline_ms: number(DEADLINE)?,
            attempt: get(ATTEMPT)
                .map_or(Some(1), |v| v.parse().ok())
                .ok_or(InvalidHeaders::Malformed(ATTEMPT))?,
            traceparent: text(TRACEPARENT)?,
            credit: get(CREDIT)
                .map(|v| Credit::parse(v).ok_or(InvalidHeaders::Malformed(CREDIT)))
                .transpose()?,
            batch: get(BATCH) == Some("1"),
            encoding: encoding.ok_or(InvalidHeaders::Malformed(CONTENT_TYPE))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_clients_text_stays_in_its_value() {
        assert_eq!(
            encode_value("a\r\nX: 1, é%"),
            "a%0D%0AX:%201%2C%20%C3%A9%25"
        );
        assert_eq!(
            decode_value("a%0D%0AX:%201%2C%20%C3%A9%25").unwrap(),
            "a\r\nX: 1, é%"
        );
        assert_eq!(decode_value("%FF"), None);
    }

    #[test]
    fn call_headers_round_trip() {
        let headers = CallHeaders {
            call_id: "c1".into(),
            request_id: "r 1".into(),
            identity: Identity {
                user_id: Some("u,1".into()),
                device_id: Some("d".into()),
                roles: vec!["a,b".into(), "c".into()],
            },
            deadline_ms: 4990,
            attempt: 2,
            traceparent: Some("00-ab-cd-01".into()),
            credit: Some(Credit {
                items: 64,
                bytes: 262_144,
            }),
            batch: true,
            encoding: Encoding::MessagePack,
        };
        let mut map = HashMap::new();
        headers.encode(|name, value| {
            map.insert(name, value.to_owned());
        });
        assert_eq!(
            CallHeaders::decode(|n| map.get(n).map(String::as_str)),
            Ok(headers)
        );
        map.remove(CALL_ID);
        assert_eq!(
            CallHeaders::decode(|n| map.get(n).map(String::as_str)),
            Err(InvalidHeaders::Missing(CALL_ID))
        );
        map.insert(PROTOCOL, "2".into());
        assert_eq!(
            CallHeaders::decode(|n| map.get(n).map(String::as_str)),
            Err(InvalidHeaders::Protocol("2".into()))
        );
    }
}
