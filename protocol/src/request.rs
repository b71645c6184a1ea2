//! What a client asks for: one JSON object, or a MessagePack map with the same keys.
//!
//! Unknown fields are ignored, duplicate ones refused. `args` stays as it came: its bytes are
//! passed on, not printed anew.

mod quick;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{CallError, ErrorCode};
use crate::id::{FunctionName, RequestId, ServiceName};
use crate::identity::Identity;
use crate::payload::{Encoding, Payload};
use crate::version::LATEST;

/// A request as a client sent it: well-formed, not yet resolved or checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Echoed in every response. Required on sockets, made by the gateway for HTTP.
    pub request_id: Option<RequestId>,
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub request_type: FunctionName,
    /// Which version; absent: the pinned or latest one.
    pub version: Option<String>,
    /// An object. Not yet looked into.
    pub args: Payload,
    /// Who the client says it is. Counts only where the gateway trusts such claims.
    pub claim: Identity,
    /// Answers to the same key and request are the same.
    pub idempotency_key: Option<String>,
    /// W3C `traceparent`.
    pub trace: Option<String>,
    /// May only shorten the function's own timeout.
    pub timeout_ms: Option<u64>,
}

/// The args of a request that has none.
#[must_use]
pub fn no_args() -> Payload {
    Payload {
        encoding: Encoding::Json,
        bytes: Bytes::from_static(b"{}"),
    }
}

/// The version that a client named; `None` for all ways to say "the latest".
#[must_use]
pub fn named_version(text: Option<&str>) -> Option<&str> {
    text.filter(|v| *v != LATEST)
}

fn invalid(message: impl Into<String>) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

impl Request {
    /// The id, where an edge requires one.
    ///
    /// # Errors
    /// `invalid_request`, if there is none.
    pub fn required_id(&self) -> Result<&RequestId, CallError> {
        let id = self.request_id.as_ref();
        id.ok_or_else(|| invalid("missing required fields: request_id"))
    }

    /// Reads a request from JSON.
    ///
    /// # Errors
    /// `invalid_request`, saying what is wrong.
    pub fn from_json(body: &Bytes) -> Result<Self, CallError> {
        let plain = std::str::from_utf8(body).ok();
        if let Some(request) = plain.and_then(|text| Self::from_plain_text(text, body)) {
            return Ok(request);
        }
        let mut d = serde_json::Deserializer::from_slice(body);
        let fields = d
            .deserialize_map(FieldsVisitor)
            .and_then(|fields| d.end().map(|()| fields))
            .map_err(|e| invalid(format!("the request is not a valid JSON object: {e}")))?;
        fields.into_request(body)
    }

    /// Reads a request from `text` that is plain: sound JSON, its own texts without escapes. It is a
    /// part of `whole`, and the args will be, too. `None`: ask [`Self::from_json`], which takes
    /// more and says what is wrong.
    ///
    /// # Panics
    /// If it is no part of it.
    #[must_use]
    pub fn from_plain_text(text: &str, whole: &Bytes) -> Option<Self> {
        quick::fields(text)?.into_request(whole).ok()
    }

    /// Reads a request from MessagePack.
    ///
    /// # Errors
    /// `invalid_request`, saying what is wrong.
    pub fn from_message_pack(body: &Bytes) -> Result<Self, CallError> {
        // The envelope is small: it is read as JSON; only args keep their encoding.
        let bad = |e: &dyn fmt::Display| {
            invalid(format!("the request is not a valid MessagePack map: {e}"))
        };
        let (envelope, args) = split_message_pack(body).map_err(|e| bad(&e))?;
        let envelope = Payload::message_pack(envelope)
            .transcode(Encoding::Json)
            .map_err(|e| bad(&e))?;
        let mut request = Self::from_json(&envelope.bytes)?;
        if let Some(args) = args {
            request.args = Payload::message_pack(args);
        }
        Ok(request)
    }
}

#[derive(Default)]
struct Fields<'a> {
    request_id: Option<Cow<'a, str>>,
    service: Option<Cow<'a, str>>,
    request_type: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    // JSON, as it came.
    user_id: Option<&'a str>,
    device_id: Option<&'a str>,
    user_roles: Option<&'a str>,
    idempotency_key: Option<Cow<'a, str>>,
    trace: Option<Cow<'a, str>>,
    timeout_ms: Option<u64>,
    args: Option<&'a str>,
}

struct FieldsVisitor;

// Borrows where the text has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with service, request_type and args")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        use serde::de::Error;
        let mut out = Fields::default();
        let mut seen = 0_u16;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let mut once = |bit: u16| {
                let again = seen & (1 << bit) != 0;
                seen |= 1 << bit;
                if again {
                    Err(A::Error::custom(format!("field {key:?} stands twice")))
                } else {
                    Ok(())
                }
            };
            let name = |e: A::Error| A::Error::custom(format!("field {key:?}: {e}"));
            macro_rules! text {
                ($bit:literal, $field:ident) => {{
                    once($bit)?;
                    out.$field = map
                        .next_value::<Option<Text<'de>>>()
                        .map_err(name)?
                        .map(|t| t.0);
                }};
            }
            macro_rules! raw {
                ($bit:literal, $field:ident) => {{
                    once($bit)?;
                    out.$field = map
                        .next_value::<Option<&RawValue>>()
                        .map_err(name)?
                        .map(RawValue::get);
                }};
            }
            match key.as_ref() {
                "request_id" => text!(0, request_id),
                "service" => text!(1, service),
                "request_type" => text!(2, request_type),
                "version" => text!(3, version),
                "user_id" => raw!(4, user_id),
                "device_id" => raw!(5, device_id),
                "idempotency_key" => text!(6, idempotency_key),
                "trace" => text!(7, trace),
                "user_roles" => raw!(8, user_roles),
                "timeout_ms" => {
                    once(9)?;
                    out.timeout_ms = map.next_value().map_err(name)?;
                }
                "args" => raw!(10, args),
                _ => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(out)
    }
}

impl Fields<'_> {
    /// The request; its args are a part of `whole`, of which the fields were read.
    fn into_request(self, whole: &Bytes) -> Result<Request, CallError> {
        let args = match self.args {
            Some(raw) if raw != "null" => Payload::json(whole.slice_ref(raw.as_bytes())),
            _ => no_args(),
        };
        let present = |f: &Option<Cow<'_, str>>| f.as_deref().is_some_and(|t| !t.is_empty());
        let missing: Vec<&str> = [
            ("request_type", &self.request_type),
            ("service", &self.service),
        ]
        .into_iter()
        .filter(|(_, f)| !present(f))
        .map(|(name, _)| name)
        .collect();
        if !missing.is_empty() {
            return Err(invalid(format!(
                "missing required fields: {}",
                missing.join(", ")
            )));
        }
        if args.bytes.first() != Some(&b'{') {
            return Err(invalid("field \"args\" must be an object"));
        }
        let id = |e: crate::id::InvalidId| invalid(e.to_string());
        let own = |f: Option<Cow<'_, str>>| f.map(Cow::into_owned);
        Ok(Request {
            request_id: self
                .request_id
                .filter(|r| !r.is_empty())
                .map(|r| RequestId::new(&r).map_err(id))
                .transpose()?,
            service: ServiceName::new(&self.service.unwrap_or_default()).map_err(id)?,
            request_type: FunctionName::new(&self.request_type.unwrap_or_default()).map_err(id)?,
            version: own(self.version),
            args,
            claim: Identity {
                user_id: claimed_id(self.user_id),
                device_id: claimed_id(self.device_id),
                roles: claimed_roles(self.user_roles),
            },
            idempotency_key: own(self.idempotency_key),
            trace: own(self.trace),
            timeout_ms: self.timeout_ms,
        })
    }
}

// Claims are read leniently: they count only where the gateway trusts them, so a client that sends
// none that can count is anonymous, not wrong.

/// An id that a client claims: text, or the digits of a number.
fn claimed_id(raw: Option<&str>) -> Option<String> {
    let raw = raw?;
    if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Some(raw.to_owned());
    }
    text_of(raw)
}

/// The roles that a client claims: of a list its non-empty strings.
fn claimed_roles(raw: Option<&str>) -> Vec<String> {
    let list: Option<Vec<&RawValue>> = raw.and_then(|raw| serde_json::from_str(raw).ok());
    let list = list.into_iter().flatten();
    list.filter_map(|item| text_of(item.get())).collect()
}

/// The text of a non-empty string.
fn text_of(raw: &str) -> Option<String> {
    let text: Option<String> = match crate::scan::plain_string(raw, 0) {
        Some((text, end)) if end == raw.len() => Some(text.to_owned()),
        _ => serde_json::from_str(raw).ok(),
    };
    text.filter(|text| !text.is_empty())
}

/// Cuts the value of `args` out of a MessagePack map: the map without it, and its bytes.
fn split_message_pack(body: &Bytes) -> Result<(Vec<u8>, Option<Bytes>), String> {
    use rmpv::{Value, decode::read_value_with_max_depth, encode::write_value};
    const DEPTH: usize = crate::payload::RMPV_DEPTH;
    let mut rest: &[u8] = body;
    let count = read_map_len(&mut rest).ok_or("a map was expected")?;
    let mut envelope = Vec::new();
    let mut args = None;
    for _ in 0..count {
        let key = read_value_with_max_depth(&mut rest, DEPTH).map_err(|e| e.to_string())?;
        let start = rest;
        let value = read_value_with_max_depth(&mut rest, DEPTH).map_err(|e| e.to_string())?;
        if key.as_str() != Some("args") || value.is_nil() {
            envelope.push((key, value));
        } else if !value.is_map() {
            return Err("field \"args\" must be a map".to_owned());
        } else if args.is_some() {
            return Err("field \"args\" stands twice".to_owned());
        } else {
            args = Some(body.slice_ref(&start[..start.len() - rest.len()]));
        }
    }
    if !rest.is_empty() {
        return Err("bytes follow the map".to_owned());
    }
    let mut out = Vec::with_capacity(body.len() - args.as_ref().map_or(0, Bytes::len) + 8);
    write_value(&mut out, &Value::Map(envelope)).map_err(|e| e.to_string())?;
    Ok((out, args))
}

fn read_map_len(rest: &mut &[u8]) -> Option<u32> {
    let (&marker, tail) = rest.split_first()?;
    let (len, tail) = match marker {
        0x80..=0x8f => (u32::from(marker & 0x0f), tail),
        0xde => {
            let (n, tail) = tail.split_first_chunk::<2>()?;
            (u32::from(u16::from_be_bytes(*n)), tail)
        }
        0xdf => {
            let (n, tail) = tail.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*n), tail)
        }
        _ => return None,
    };
    *rest = tail;
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Result<Request, CallError> {
        Request::from_json(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn args_keep_their_bytes() {
        let request =
            json(r#"{"service":"s","request_type":"f","args": {"n":1.0e2,"s":"\u0041"} }"#)
                .unwrap();
        assert_eq!(request.args.bytes, r#"{"n":1.0e2,"s":"\u0041"}"#);
        assert_eq!(request.request_id, None);
    }

    #[test]
    fn null_and_absent_mean_the_default() {
        let request = json(
            r#"{"service":"s","request_type":"f","args":null,"version":null,"user_id":null,
                "user_roles":null,"timeout_ms":null,"request_id":"r","foo":{"bar":[1]}}"#,
        )
        .unwrap();
        assert_eq!(request.args, no_args());
        assert_eq!(request.claim, Identity::anonymous());
        assert_eq!(named_version(Some("0.0.0")), None);
        assert_eq!(named_version(Some("")), Some(""));
    }

    #[test]
    fn claims_that_cannot_count_are_no_mistake() {
        let claim = |fields: &str| {
            let text = format!(r#"{{"service":"s","request_type":"f",{fields}}}"#);
            json(&text).unwrap().claim
        };
        assert_eq!(claim(r#""user_id":70"#).user_id.as_deref(), Some("70"));
        assert_eq!(claim(r#""device_id":-1"#).device_id.as_deref(), Some("-1"));
        assert_eq!(claim(r#""user_id":"\u0041""#).user_id.as_deref(), Some("A"));
        for none in ["true", "[1]", "{}", r#""""#, "null"] {
            assert_eq!(
                claim(&format!(r#""user_id":{none}"#)),
                Identity::anonymous()
            );
        }
        let roles = |list: &str| claim(&format!(r#""user_roles":{list}"#)).roles;
        assert_eq!(roles(r#"["a","",1,null,["b"],"c","a"]"#), ["a", "c", "a"]);
        for none in [r#""admin""#, "{}", "1", "[]", "null"] {
            assert_eq!(roles(none), [""; 0], "{none}");
        }
        let twice = r#"{"service":"s","request_type":"f","user_id":1,"user_id":"a"}"#;
        assert!(json(twice).unwrap_err().message.contains("stands twice"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("", "not a valid JSON object"),
            ("[]", "expected an object with service"),
            ("{}", "missing required fields: request_type, service"),
            (
                r#"{"service":"s","request_type":""}"#,
                "missing required fields: request_type",
            ),
            (
                r#"{"service":5,"request_type":"f"}"#,
                "field \"service\": invalid type",
            ),
            (
                r#"{"service":"s","request_type":"f","service":"t"}"#,
                "\"service\" stands twice",
            ),
            (
                r#"{"service":"s","request_type":"f","s\u0065rvice":"t"}"#,
                "\"service\" stands twice",
            ),
            (
                r#"{"service":"s","request_type":"f","args":[]}"#,
                "\"args\" must be an object",
            ),
            (
                r#"{"service":"s","request_type":"f","request_id":"a\n"}"#,
                "control characters",
            ),
            (
                r#"{"service":"s","request_type":"f","timeout_ms":-1}"#,
                "field \"timeout_ms\"",
            ),
            (
                r#"{"service":"s","request_type":"f"} x"#,
                "trailing characters",
            ),
        ] {
            let error = json(text).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest);
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
    }

    #[test]
    fn message_pack_is_read_like_json_and_args_keep_their_bytes() {
        let body = serde_json::json!({
            "request_id": "r", "service": "s", "request_type": "f", "args": {"n": 1}, "version": "1",
        });
        let body = Bytes::from(rmp_serde::to_vec_named(&body).unwrap());
        let request = Request::from_message_pack(&body).unwrap();
        assert_eq!(request.version.as_deref(), Some("1"));
        assert_eq!(
            request.args,
            Payload::message_pack(vec![0x81, 0xa1, b'n', 1])
        );
        assert!(Request::from_message_pack(&Bytes::from_static(&[0x92, 1, 2])).is_err());
    }

    proptest! {
        #[test]
        fn strangers_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(body);
            let _ = Request::from_json(&body);
            let _ = Request::from_message_pack(&body);
        }

        #[test]
        fn strangers_maps_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut body = vec![0x83, 0xa4];
            body.extend_from_slice(b"args");
            body.extend(tail);
            let _ = Request::from_message_pack(&Bytes::from(body));
        }
    }
}
