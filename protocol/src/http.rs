//! HTTP messages on the way between gateway and resources: a head in one NATS header, the body as
//! it is.
//!
//! The head is JSON in ASCII, so that no client can add a header or a line, and that any language
//! reads it. Bytes of a field's value above 0x7F are the characters of the same number (as ISO
//! 8859-1 has them): every byte comes through.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::payload::{Encoding, Payload};

/// The largest head, in bytes of its JSON.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most fields of a head.
pub const MAX_FIELDS: usize = 200;

/// A field of a head: name in lower case, value.
pub type Field = (String, String);

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// As the client wrote it.
    pub method: String,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// What follows the `?`, percent-encoded as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The fields, in their order.
    pub headers: Vec<Field>,
}

/// The head of a response. Chunks that follow the first of a streamed body have an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// The status.
    pub status: u16,
    /// The fields, in their order.
    #[serde(default)]
    pub headers: Vec<Field>,
}

/// A head that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header Sluice-Http: {0}")]
pub struct InvalidHead(String);

/// What a chunk of a streamed body has in place of a head.
pub const CHUNK_HEAD: &str = "{}";

impl RequestHead {
    /// The head as a header's value; `args` is the JSON object of the path's parameters.
    ///
    /// # Errors
    /// When `args` are no JSON, or the head is too large.
    pub fn to_value(&self, args: &[u8]) -> Result<String, InvalidHead> {
        let args = std::str::from_utf8(args).map_err(|e| InvalidHead(e.to_string()))?;
        let head = print(self)?;
        let mut value = String::with_capacity(head.len() + args.len() + 9);
        value.push_str(head.strip_suffix('}').unwrap_or_default());
        value.push_str(",\"args\":");
        ascii(args, &mut value);
        value.push('}');
        bounded(value)
    }

    /// Reads what [`Self::to_value`] wrote: the head, and the parameters of the path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &str) -> Result<(Self, Payload), InvalidHead> {
        #[derive(Deserialize)]
        struct Args<'a> {
            #[serde(borrow, default)]
            args: Option<&'a RawValue>,
        }
        let head: Self = parse(value)?;
        check(&head.headers)?;
        let args: Args<'_> = parse(value)?;
        let args = args.args.map_or("{}", RawValue::get).to_owned();
        Ok((head, Payload::json(args)))
    }
}

impl ResponseHead {
    /// The head as a header's value.
    ///
    /// # Errors
    /// When it is too large.
    pub fn to_value(&self) -> Result<String, InvalidHead> {
        bounded(print(self)?)
    }

    /// Reads what [`Self::to_value`] wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &str) -> Result<Self, InvalidHead> {
        let head: Self = parse(value)?;
        if !(200..=599).contains(&head.status) {
            return Err(InvalidHead(format!("{} is no final status", head.status)));
        }
        check(&head.headers)?;
        Ok(head)
    }
}

fn check(fields: &[Field]) -> Result<(), InvalidHead> {
    if fields.len() > MAX_FIELDS {
        return Err(InvalidHead(format!("more than {MAX_FIELDS} fields")));
    }
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(value: &'a str) -> Result<T, InvalidHead> {
    if value.len() > MAX_HEAD_BYTES {
        return Err(InvalidHead(format!("more than {MAX_HEAD_BYTES} bytes")));
    }
    serde_json::from_str(value).map_err(|e| InvalidHead(e.to_string()))
}

fn print(of: &impl Serialize) -> Result<String, InvalidHead> {
    let text = serde_json::to_string(of).map_err(|e| InvalidHead(e.to_string()))?;
    let mut out = String::with_capacity(text.len());
    ascii(&text, &mut out);
    Ok(out)
}

fn bounded(value: String) -> Result<String, InvalidHead> {
    if value.len() > MAX_HEAD_BYTES {
        return Err(InvalidHead(format!("more than {MAX_HEAD_BYTES} bytes")));
    }
    Ok(value)
}

/// JSON text with all that is not printable ASCII escaped. Outside strings JSON has such
/// characters only as white space.
fn ascii(json: &str, out: &mut String) {
    for c in json.chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            out.push(' ');
        } else if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

/// The value of a field as text: one character for each byte.
#[must_use]
pub fn field_text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// The bytes of [`field_text`]; `None` if it has characters that are no bytes.
#[must_use]
pub fn field_bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

impl Payload {
    /// An HTTP message as one payload: a head as [`RequestHead::to_value`] and
    /// [`ResponseHead::to_value`] print it, and a body.
    #[must_use]
    pub fn http(head: &str, body: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(4 + head.len() + body.len());
        bytes.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
        bytes.put_slice(head.as_bytes());
        bytes.put_slice(body);
        Self {
            encoding: Encoding::Http,
            bytes: bytes.freeze(),
        }
    }

    /// Head and body of an HTTP message; `None` if this is none.
    #[must_use]
    pub fn split_http(&self) -> Option<(&str, Bytes)> {
        if self.encoding != Encoding::Http {
            return None;
        }
        let (length, rest) = self.bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let head = std::str::from_utf8(rest.get(..length)?).ok()?;
        Some((head, self.bytes.slice(4 + length..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> RequestHead {
        RequestHead {
            method: "GET".to_owned(),
            path: "/books/%C3%A9".to_owned(),
            query: Some("a=1".to_owned()),
            headers: vec![("x-name".to_owned(), field_text(b"\xff caf\xe9"))],
        }
    }

    #[test]
    fn heads_round_trip_in_ascii() {
        let value = request().to_value("{\"id\":\n\"é😀\"}".as_bytes()).unwrap();
        assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{value}");
        let (head, args) = RequestHead::parse(&value).unwrap();
        assert_eq!(head, request());
        let args: serde_json::Value = serde_json::from_slice(&args.bytes).unwrap();
        assert_eq!(args, serde_json::json!({"id": "é😀"}));
        assert_eq!(field_bytes(&head.headers[0].1).unwrap(), b"\xff caf\xe9");
        let response = ResponseHead {
            status: 404,
            headers: vec![("etag".to_owned(), "\"x\"".to_owned())],
        };
        assert_eq!(
            ResponseHead::parse(&response.to_value().unwrap()),
            Ok(response)
        );
    }

    #[test]
    fn numbers_of_args_stay_as_they_are() {
        let value = request().to_value(br#"{"id":1.50e3}"#).unwrap();
        let (_, args) = RequestHead::parse(&value).unwrap();
        assert_eq!(args.bytes, r#"{"id":1.50e3}"#);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"status":99}"#,
            r#"{"status":101}"#,
            r#"{"status":"200"}"#,
        ] {
            assert!(ResponseHead::parse(bad).is_err(), "{bad}");
        }
        let many = vec![(String::new(), String::new()); MAX_FIELDS + 1];
        let head = ResponseHead {
            status: 200,
            headers: many,
        };
        assert!(ResponseHead::parse(&head.to_value().unwrap()).is_err());
        let long = RequestHead {
            path: "x".repeat(MAX_HEAD_BYTES),
            ..request()
        };
        assert!(long.to_value(b"{}").is_err());
    }

    #[test]
    fn messages_are_payloads() {
        let payload = Payload::http("{}", b"body");
        assert_eq!(
            payload.split_http(),
            Some(("{}", Bytes::from_static(b"body")))
        );
        assert_eq!(Payload::json("{}").split_http(), None);
        assert!(payload.transcode(Encoding::Json).is_err());
        assert!(Payload::json("{}").transcode(Encoding::Http).is_err());
        assert!(payload.check().is_err());
    }

    proptest! {
        #[test]
        fn strangers_bytes_never_panic(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = RequestHead::parse(&text);
            let _ = ResponseHead::parse(&text);
            let _ = Payload { encoding: Encoding::Http, bytes: bytes.clone().into() }.split_http();
            prop_assert_eq!(field_bytes(&field_text(&bytes)), Some(bytes));
        }
    }
}
