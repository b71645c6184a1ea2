//! What hooks may answer, to the letter.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sluice_protocol::payload::Payload;
use sluice_protocol::{CallError, ErrorCode};

/// The answer of a before hook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    Allow,
    /// Go on with these args, a JSON object.
    Args(Payload),
}

/// The answer of an after hook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterAnswer {
    Keep,
    /// This is the result, JSON.
    Result(Payload),
}

/// What a permission callback says of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Permits {
    /// It may.
    Yes,
    /// It may not.
    No,
    /// Nobody knows, so it may not: the callback failed, or answered what is no answer.
    Unknown,
}

impl Permits {
    /// Reads an answer.
    pub(super) fn of(answer: &Result<Payload, CallError>) -> Self {
        let denials = [ErrorCode::PermissionDenied, ErrorCode::Unauthenticated];
        match answer {
            Ok(answer) => match answer.bytes.trim_ascii() {
                b"true" => Self::Yes,
                b"false" => Self::No,
                _ => Self::Unknown,
            },
            Err(error) if denials.contains(&error.code) => Self::No,
            Err(_) => Self::Unknown,
        }
    }
}

/// Whether a before hook's answer that lets no call go on says so: `false`, `{"allow": false}`.
pub(super) fn is_no(answer: &Payload) -> bool {
    if answer.bytes.trim_ascii() == b"false" {
        return true;
    }
    let fields = object(answer).and_then(|text| serde_json::from_slice(text).ok());
    matches!(
        fields,
        Some(BeforeFields {
            allow: Some(false),
            args: None,
        })
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeforeFields<'a> {
    #[serde(default)]
    allow: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AfterFields<'a> {
    #[serde(default)]
    allow: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
}

/// A field that stands there is told, also null.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(d: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}

/// Reads a before hook's answer; `None`: it is none.
pub(super) fn read_before(answer: &Payload) -> Option<Before> {
    match serde_json::from_slice(object(answer)?).ok()? {
        BeforeFields {
            allow: Some(true),
            args: None,
        } => Some(Before::Allow),
        BeforeFields {
            allow: None,
            args: Some(args),
        } if args.get().starts_with('{') => Some(Before::Args(copied(args))),
        _ => None,
    }
}

/// Reads an after hook's answer; `None`: it is none.
pub(super) fn read_after(answer: &Payload) -> Option<AfterAnswer> {
    if answer.bytes.trim_ascii() == b"null" {
        return Some(AfterAnswer::Keep);
    }
    match serde_json::from_slice(object(answer)?).ok()? {
        AfterFields {
            allow: Some(true),
            result: None,
        } => Some(AfterAnswer::Keep),
        AfterFields {
            allow: None,
            result: Some(result),
        } => Some(AfterAnswer::Result(copied(result))),
        _ => None,
    }
}

/// The text of an object: serde would read the fields of a list by their order, too.
fn object(answer: &Payload) -> Option<&[u8]> {
    let text = answer.bytes.trim_ascii_start();
    text.starts_with(b"{").then_some(text)
}

fn copied(raw: &RawValue) -> Payload {
    Payload::json(Bytes::copy_from_slice(raw.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_before_hook_allows_changes_or_refuses() {
        let read = |text: &str| read_before(&Payload::json(text.to_owned()));
        assert_eq!(read(r#" {"allow": true} "#), Some(Before::Allow));
        let args = Payload::json(r#"{"a": 1.50}"#);
        assert_eq!(read(r#"{"args": {"a": 1.50}}"#), Some(Before::Args(args)));
        for odd in [
            "true",
            "false",
            "null",
            "1",
            "\"ok\"",
            "[true]",
            "[true, null]",
            "{}",
            r#"{"allow": false}"#,
            r#"{"allow": null}"#,
            r#"{"allow": "true"}"#,
            r#"{"allow": 1}"#,
            r#"{"allow": true, "allow": true}"#,
            r#"{"allow": true, "args": {}}"#,
            r#"{"args": null}"#,
            r#"{"args": []}"#,
            r#"{"args": {}, "user_id": "root"}"#,
            r#"{"allow": true, "service": "other"}"#,
            r#"{"args": {}} {}"#,
            "",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_after_hook_keeps_or_replaces() {
        let read = |text: &str| read_after(&Payload::json(text.to_owned()));
        assert_eq!(read("null"), Some(AfterAnswer::Keep));
        assert_eq!(read(r#"{"allow": true}"#), Some(AfterAnswer::Keep));
        let replaced = |text: &'static str| Some(AfterAnswer::Result(Payload::json(text)));
        assert_eq!(read(r#"{"result": [1.50]}"#), replaced("[1.50]"));
        assert_eq!(read(r#"{"result": null}"#), replaced("null"));
        for odd in [
            "1",
            "{}",
            r#"{"allow": false}"#,
            r#"{"result": 1, "success": false}"#,
            r#"{"result": 1, "result": 2}"#,
            r#"[true]"#,
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn only_true_is_true() {
        let read = |text: &str| Permits::of(&Ok(Payload::json(text.to_owned())));
        assert_eq!(
            (read("true"), read(" true\n")),
            (Permits::Yes, Permits::Yes)
        );
        assert_eq!(read(" false "), Permits::No);
        for odd in [
            "1",
            "\"true\"",
            "{\"allow\":true}",
            "{\"allow\":false}",
            "[true]",
            "null",
            "",
            "truetrue",
        ] {
            assert_eq!(read(odd), Permits::Unknown, "{odd}");
        }
        let failed = |code| Permits::of(&Err(CallError::new(code, "x")));
        assert_eq!(failed(ErrorCode::PermissionDenied), Permits::No);
        assert_eq!(failed(ErrorCode::NoWorkers), Permits::Unknown);
    }

    #[test]
    fn a_before_hook_says_no_in_two_ways() {
        let no = |text: &str| is_no(&Payload::json(text.to_owned()));
        assert!(no("false") && no(r#" {"allow": false} "#));
        for odd in ["null", "true", "0", "{}", "[false]", r#"{"allow": 0}"#] {
            assert!(!no(odd), "{odd}");
        }
    }
}
