//! A value as bytes in a named encoding, passed on without being parsed.

use bytes::Bytes;

use crate::scan;

/// The encodings of args and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// `application/json` (RFC 8259).
    #[default]
    Json,
    /// `application/msgpack`.
    MessagePack,
    /// An HTTP message of a resource, see [`crate::http`]. Nothing else is sent so, and it has no
    /// counterpart in the others.
    Http,
}

impl Encoding {
    /// The media type that names this encoding in `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/msgpack",
            Self::Http => "application/http",
        }
    }

    /// The short name in `encodings` of registry messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "msgpack",
            Self::Http => "http",
        }
    }

    /// Reads a media type, without regard to case or parameters (RFC 9110 §8.3.1).
    #[must_use]
    pub fn from_media_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/json") {
            Some(Self::Json)
        } else if is("application/msgpack")
            || is("application/x-msgpack")
            || is("application/vnd.msgpack")
        {
            Some(Self::MessagePack)
        } else {
            None
        }
    }
}

/// Bytes and what they are encoded in. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How `bytes` are to be read.
    pub encoding: Encoding,
    /// One complete value.
    pub bytes: Bytes,
}

/// The value in `bytes` could not be carried over into another encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscodeError {
    /// The bytes are not one complete value of their encoding.
    #[error("not valid {encoding}: {reason}")]
    Malformed {
        /// The encoding that was claimed.
        encoding: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The value has no counterpart, for example MessagePack binary in JSON.
    #[error("{0} has no JSON form")]
    Unrepresentable(&'static str),
}

impl Payload {
    /// A JSON value, as text that is known to be JSON.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::Json,
            bytes: bytes.into(),
        }
    }

    /// A MessagePack value.
    #[must_use]
    pub fn message_pack(bytes: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::MessagePack,
            bytes: bytes.into(),
        }
    }

    /// The same value in `encoding`; shares the bytes where that is the encoding already.
    ///
    /// # Errors
    /// When the bytes are not a value of their encoding, or have no counterpart in the other.
    pub fn transcode(&self, encoding: Encoding) -> Result<Self, TranscodeError> {
        match (self.encoding, encoding) {
            (from, to) if from == to => Ok(self.clone()),
            (Encoding::Http, _) | (_, Encoding::Http) => {
                Err(TranscodeError::Unrepresentable("an HTTP message"))
            }
            (Encoding::Json, _) => crate::payload::json_to_msgpack(&self.bytes),
            (Encoding::MessagePack, _) => crate::payload::msgpack_to_json(&self.bytes),
        }
    }
}

impl Payload {
    /// Checks that the bytes are exactly one value of their encoding.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self) -> Result<(), TranscodeError> {
        match self.encoding {
            Encoding::Json if std::str::from_utf8(&self.bytes).is_ok_and(scan::is_value) => Ok(()),
            // A raw value is scanned and checked to be UTF-8, not built.
            Encoding::Json => serde_json::from_slice::<&serde_json::value::RawValue>(&self.bytes)
                .map(drop)
                .map_err(|e| malformed(self.encoding, e)),
            Encoding::Http => Err(TranscodeError::Unrepresentable("an HTTP message")),
            Encoding::MessagePack => {
                let mut rest: &[u8] = &self.bytes;
                rmpv::decode::read_value_with_max_depth(&mut rest, RMPV_DEPTH)
                    .map_err(|e| malformed(self.encoding, e))?;
                if rest.is_empty() {
                    Ok(())
                } else {
                    Err(malformed(self.encoding, "bytes follow the value"))
                }
            }
        }
    }
}

/// Values nested deeper than this are refused, in both encodings.
pub const MAX_DEPTH: usize = 96;

/// [`MAX_DEPTH`] as `rmpv` counts: two for each list or map, and up to three for a string in it.
pub(crate) const RMPV_DEPTH: usize = 2 * MAX_DEPTH + 3;

fn malformed(encoding: Encoding, reason: impl std::fmt::Display) -> TranscodeError {
    TranscodeError::Malformed {
        encoding: encoding.name(),
        reason: reason.to_string(),
    }
}

fn json_to_msgpack(bytes: &[u8]) -> Result<Payload, TranscodeError> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| malformed(Encoding::Json, e))?;
    let out = rmp_serde::to_vec_named(&value).map_err(|e| malformed(Encoding::Json, e))?;
    Ok(Payload::message_pack(out))
}

fn msgpack_to_json(bytes: &[u8]) -> Result<Payload, TranscodeError> {
    let mut rest = bytes;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, RMPV_DEPTH)
        .map_err(|e| malformed(Encoding::MessagePack, e))?;
    if !rest.is_empty() {
        return Err(malformed(Encoding::MessagePack, "bytes follow the value"));
    }
    let mut out = Vec::with_capacity(bytes.len() * 2);
    write_json(&value, &mut out)?;
    Ok(Payload::json(out))
}

fn write_json(value: &rmpv::Value, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    use rmpv::Value;
    let push = |out: &mut Vec<u8>, text: String| out.extend_from_slice(text.as_bytes());
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Boolean(b) => push(out, b.to_string()),
        Value::Integer(n) => push(out, n.to_string()),
        Value::F32(f) => write_float(f64::from(*f), out)?,
        Value::F64(f) => write_float(*f, out)?,
        Value::String(s) => write_string(s, out)?,
        Value::Binary(_) => return Err(TranscodeError::Unrepresentable("MessagePack binary")),
        Value::Ext(..) => return Err(TranscodeError::Unrepresentable("MessagePack extension")),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json(item, out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (i, (key, item)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                let Value::String(key) = key else {
                    return Err(TranscodeError::Unrepresentable(
                        "a map key that is not a string",
                    ));
                };
                write_string(key, out)?;
                out.push(b':');
                write_json(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_float(float: f64, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    if !float.is_finite() {
        return Err(TranscodeError::Unrepresentable(
            "a number that is not finite",
        ));
    }
    serde_json::to_writer(out, &float).map_err(|e| malformed(Encoding::Json, e))
}

fn write_string(text: &rmpv::Utf8String, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    let text = text
        .as_str()
        .ok_or_else(|| malformed(Encoding::MessagePack, "a string is not UTF-8"))?;
    serde_json::to_writer(out, text).map_err(|e| malformed(Encoding::Json, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_without_case_or_parameters() {
        let of = Encoding::from_media_type;
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(of("application/x-msgpack"), Some(Encoding::MessagePack));
        assert_eq!(of("text/plain"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn values_survive_both_ways() {
        let json =
            Payload::json(r#"{"a":[1,-2,3.5,null,true,"x\n"],"b":{"c":18446744073709551615}}"#);
        let there = json.transcode(Encoding::MessagePack).unwrap();
        assert_eq!(there.transcode(Encoding::Json).unwrap(), json);
    }

    #[test]
    fn a_check_takes_exactly_one_value() {
        for good in [&b"1"[..], b" {\"a\":[true]} ", b"\"x\""] {
            assert_eq!(Payload::json(good.to_vec()).check(), Ok(()));
        }
        for bad in [
            &b""[..],
            b"{",
            b"1 2",
            b"nope",
            b"\"\xff\"",
            b"{\"a\":}",
            b"\"\n\"",
        ] {
            assert!(Payload::json(bad.to_vec()).check().is_err(), "{bad:?}");
        }
        assert!(Payload::message_pack(vec![0x93, 1, 2]).check().is_err());
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        let binary = Payload::message_pack(vec![0xc4, 1, 7]);
        assert_eq!(
            binary.transcode(Encoding::Json).unwrap_err().to_string(),
            "MessagePack binary has no JSON form"
        );
        let key = Payload::message_pack(vec![0x81, 1, 1]);
        assert!(key.transcode(Encoding::Json).is_err());
        let deep = Payload::message_pack(vec![0x91; 100_000]);
        assert!(deep.transcode(Encoding::Json).is_err());
        let trailing = Payload::message_pack(vec![1, 1]);
        assert!(trailing.transcode(Encoding::Json).is_err());
    }
}
