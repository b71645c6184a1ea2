//! The fields of a request that is written plainly, found in one pass.
//!
//! What is unusual (escapes in names and ids, other types, anything twice) and what is wrong
//! yields `None`: the other reader takes it, or says what is wrong.

use std::borrow::Cow;

use super::Fields;
use crate::scan::{plain_string, space, token, value};

/// Numbers of so many digits fit into 64 bits.
const SAFE_DIGITS: usize = 15;

/// The fields of `text`, if it is exactly one plain object.
pub(super) fn fields(text: &str) -> Option<Fields<'_>> {
    let bytes = text.as_bytes();
    let mut fields = Fields::default();
    let mut seen = 0_u16;
    let mut at = token(bytes, 0, b'{')?;
    if bytes.get(at) != Some(&b'}') {
        loop {
            let (name, end) = plain_string(text, at)?;
            let start = token(bytes, end, b':')?;
            let (raw, plain, end) = match plain_string(text, start) {
                Some((plain, end)) => (text.get(start..end)?, Some(plain), end),
                None => {
                    let end = value(bytes, start)?;
                    (text.get(start..end)?, None, end)
                }
            };
            if let Some(bit) = put(&mut fields, name, raw, plain)? {
                let again = seen & (1 << bit) != 0;
                seen |= 1 << bit;
                (!again).then_some(())?;
            }
            at = space(bytes, end);
            if bytes.get(at) != Some(&b',') {
                break;
            }
            at = space(bytes, at + 1);
        }
    }
    let end = token(bytes, at, b'}')?;
    (end == bytes.len()).then_some(fields)
}

/// Puts a value where it belongs, given as it came and as plain text if it is that: the number of
/// its field, `Some(None)` for one that is not known, `None` for a value that is not plain.
fn put<'a>(
    fields: &mut Fields<'a>,
    name: &str,
    raw: &'a str,
    plain: Option<&'a str>,
) -> Option<Option<u8>> {
    let text = || match plain {
        Some(text) => Some(Some(Cow::Borrowed(text))),
        None => (raw == "null").then_some(None),
    };
    Some(Some(match name {
        "request_id" => {
            fields.request_id = text()?;
            0
        }
        "service" => {
            fields.service = text()?;
            1
        }
        "request_type" => {
            fields.request_type = text()?;
            2
        }
        "version" => {
            fields.version = text()?;
            3
        }
        "user_id" => {
            fields.user_id = present(raw);
            4
        }
        "device_id" => {
            fields.device_id = present(raw);
            5
        }
        "idempotency_key" => {
            fields.idempotency_key = text()?;
            6
        }
        "trace" => {
            fields.trace = text()?;
            7
        }
        "user_roles" => {
            fields.user_roles = present(raw);
            8
        }
        "timeout_ms" => {
            fields.timeout_ms = number(raw)?;
            9
        }
        "args" => {
            fields.args = present(raw);
            10
        }
        _ => return Some(None),
    }))
}

fn present(raw: &str) -> Option<&str> {
    (raw != "null").then_some(raw)
}

fn number(raw: &str) -> Option<Option<u64>> {
    if raw == "null" {
        return Some(None);
    }
    let plain = raw.len() <= SAFE_DIGITS && raw.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| raw.parse().ok().map(Some))?
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use crate::Request;

    fn quick(text: &str) -> Option<Request> {
        let whole = Bytes::copy_from_slice(text.as_bytes());
        Request::from_plain_text(std::str::from_utf8(&whole).unwrap(), &whole)
    }

    /// The other reader alone: bytes after which no plain reader is tried.
    fn slow(text: &str) -> Option<Request> {
        // An escape in a name that is not known.
        let text = text.replacen('{', r#"{"\u0020":0,"#, 1);
        Request::from_json(&Bytes::from(text)).ok()
    }

    #[test]
    fn plain_requests_are_read_and_the_others_left() {
        let plain = r#" { "service" : "s" ,"request_type":"f","args":{"a":[1,"}"]},
            "request_id":"r","timeout_ms":5,"user_id":"u","x":{"y":null},"version":null} "#;
        let request = quick(plain).unwrap();
        assert_eq!(request.args.bytes, r#"{"a":[1,"}"]}"#);
        assert_eq!(
            (request.timeout_ms, request.version.as_deref()),
            (Some(5), None)
        );
        assert_eq!(Some(request), slow(plain));
        for left in [
            r#"{"service":"s","request_type":"f","args":{}"#,
            r#"{"service":"s","request_type":"f","args":{}},"#,
            r#"{"service":"s","request_type":"f","args":[]}"#,
            r#"{"service":"s","request_type":"f","service":"s"}"#,
            r#"{"service":"s","request_type":"f","s\u0065rvice":"s"}"#,
            r#"{"service":"s","request_type":"\u0066"}"#,
            r#"{"service":"s","request_type":"f","timeout_ms":1.5}"#,
            r#"{"service":"s"}"#,
            "{}",
        ] {
            assert_eq!(quick(left), None, "{left}");
        }
    }

    fn field() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("service"),
            Just("request_type"),
            Just("args"),
            Just("request_id"),
            Just("version"),
            Just("user_id"),
            Just("device_id"),
            Just("user_roles"),
            Just("timeout_ms"),
            Just("trace"),
            Just("idempotency_key"),
            Just("other"),
            Just("s\\u0065rvice"),
        ];
        let value = prop_oneof![
            Just("\"s\""),
            Just("\"f\""),
            Just("null"),
            Just("{}"),
            Just("{\"a\":1}"),
            Just("5"),
            Just("-5"),
            Just("1.5"),
            Just("123456789012345678901"),
            Just("\"\""),
            Just("\"\\n\""),
            Just("\"é\""),
            Just("[\"a\",1]"),
            Just("true"),
            Just("{\"a\":}"),
            Just("\"a\u{1}\""),
            Just("\"\\ud800\""),
        ];
        (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
    }

    proptest! {
        #[test]
        fn both_readers_say_the_same(
            fields in prop::collection::vec(field(), 0..6),
            at in any::<prop::sample::Index>(),
            with in prop::option::of(any::<char>()),
        ) {
            let needed = r#""service":"s","request_type":"f""#.to_owned();
            let all: Vec<String> = std::iter::once(needed).chain(fields).collect();
            let mut chars: Vec<char> = format!("{{{}}}", all.join(",")).chars().collect();
            if let Some(with) = with {
                let at = at.index(chars.len() - 1) + 1;
                chars[at] = with;
            }
            let text: String = chars.into_iter().collect();
            if let Some(request) = quick(&text) {
                prop_assert_eq!(Some(request), slow(&text), "{}", text);
            }
        }
    }
}
