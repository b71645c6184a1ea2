//! Args that are written plainly: one object of scalars without escapes, all of which fit.
//!
//! Anything else, and above all anything wrong, is left to the walk ([`super::walk`]), which finds
//! every fault and says what it is.

use super::keys::Seen;
use super::rule::{Number, Rule};
use super::walk::Top;
use super::{ArgKind, ArgSpec, ArgTypes};
use crate::scan::{plain_string, space, token, value};

/// Integers of so many digits fit into 64 bits.
const SAFE_DIGITS: usize = 15;

/// What stands in `text`, if all of it is plain and fits.
pub(super) fn object(types: &ArgTypes, text: &str) -> Option<Top> {
    let bytes = text.as_bytes();
    let mut top = Top {
        seen: Seen::default(),
        entries: 0,
    };
    let mut at = token(bytes, 0, b'{')?;
    let mut likely = 0;
    if bytes.get(at) != Some(&b'}') {
        loop {
            let (key, end) = plain_string(text, at)?;
            let index = types.position(key, likely)?;
            top.seen.mark(index).then_some(())?;
            (top.entries, likely) = (top.entries + 1, index + 1);
            let start = token(bytes, end, b':')?;
            at = space(bytes, scalar(&types.0[index].1, text, start)?);
            if bytes.get(at) != Some(&b',') {
                break;
            }
            at = space(bytes, at + 1);
        }
    }
    let whole = token(bytes, at, b'}')? == bytes.len();
    let mut fields = types.0.iter().enumerate();
    let complete = fields.all(|(i, (_, spec))| top.seen.has(i) || spec.may_be_absent());
    (whole && complete).then_some(top)
}

/// The place after a scalar that fits.
fn scalar(spec: &ArgSpec, text: &str, start: usize) -> Option<usize> {
    let rule = Rule::Spec(spec);
    let (fits, end) = match text.as_bytes().get(start)? {
        b'"' => {
            let (text, end) = plain_string(text, start)?;
            (rule.text(text).is_ok(), end)
        }
        b'-' | b'0'..=b'9' => {
            let end = value(text.as_bytes(), start)?;
            let number = integer(text.get(start..end)?)?;
            (rule.number(Number::Int(number)).is_ok(), end)
        }
        b't' | b'f' => {
            let fits = matches!(spec.kind, ArgKind::Boolean | ArgKind::Any);
            (fits, value(text.as_bytes(), start)?)
        }
        b'n' => (rule.null().is_ok(), value(text.as_bytes(), start)?),
        _ => return None,
    };
    fits.then_some(end)
}

/// A number that is plainly an integer; JSON's `-0` is none.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.len() <= SAFE_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = plain.then(|| text.parse().ok())??;
    (number != 0 || digits.len() == text.len()).then(|| number.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::walk;
    use super::*;
    use crate::Payload;

    fn types() -> ArgTypes {
        let types = json!({
            "id": "integer", "small": {"type": "integer", "min": -3, "max": 9}, "n": "num",
            "s": {"type": "string", "max_bytes": 5}, "e": {"type": "string", "enum": ["a", "b"]},
            "b": {"type": "boolean", "allow_nil": true}, "l": "list_string", "u": "uuid",
        });
        let mut types = ArgTypes::from_json(&types).unwrap();
        for (_, spec) in types.0.iter_mut().skip(1) {
            spec.default_value = Some(json!("x"));
        }
        types
    }

    /// Whether the quick way took it; what it found is what the walk finds.
    fn agrees(text: &str) -> bool {
        let types = types();
        let quick = object(&types, text);
        if let Some(quick) = &quick {
            let slow = walk::walk(Some(&types), &Payload::json(text.to_owned()));
            let Ok(slow) = slow else {
                panic!("{text} has a fault");
            };
            assert_eq!(quick.entries, slow.entries, "{text}");
            for index in 0..types.0.len() {
                assert_eq!(quick.seen.has(index), slow.seen.has(index), "{text}");
            }
        }
        quick.is_some()
    }

    #[test]
    fn plain_args_that_fit_are_taken_and_all_others_left() {
        for (text, taken) in [
            (r#"{"id":1}"#, true),
            (
                r#" { "id" : -12 , "small":9,"n":7,"s":"abcde","e":"b","b":null} "#,
                true,
            ),
            (r#"{"b":true,"id":0}"#, true),
            // Fine as well, and for the walk.
            (r#"{"id":1,"n":1.5}"#, false),
            (r#"{"id":1,"l":["a"]}"#, false),
            (r#"{"id":1,"s":"\u0041"}"#, false),
            (r#"{"id":1234567890123456}"#, false),
            // Faults.
            (r#"{"id":-0}"#, false),
            (r#"{}"#, false),
            (r#"{"id":1,"id":1}"#, false),
            (r#"{"id":1,"x":1}"#, false),
            (r#"{"id":"1"}"#, false),
            (r#"{"id":1,"small":10}"#, false),
            (r#"{"id":1,"s":"abcdef"}"#, false),
            (r#"{"id":1,"e":"c"}"#, false),
            (r#"{"id":1,"b":1}"#, false),
            (r#"{"id":null}"#, false),
            (r#"{"id":1,}"#, false),
            (r#"{"id":1}}"#, false),
            (r#"{"id":01}"#, false),
            (r#"[1]"#, false),
            ("", false),
        ] {
            assert_eq!(agrees(text), taken, "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(
            entries in prop::collection::vec((
                prop_oneof![Just("id"), Just("small"), Just("n"), Just("s"), Just("e"), Just("b"),
                    Just("l"), Just("u"), Just("x"), Just("i\\u0064")],
                prop_oneof![Just("1"), Just("-3"), Just("-0"), Just("10"), Just("1e2"), Just("0.5"),
                    Just("true"), Just("false"), Just("null"), Just("\"a\""), Just("\"\""),
                    Just("\"abcdef\""), Just("\"é\""), Just("[\"a\"]"), Just("{}"), Just("01"),
                    Just("\"c232ab00-9414-11ec-b3c8-9f6bdeced846\"")],
            ), 0..5),
            at in any::<prop::sample::Index>(),
            with in prop::option::weighted(0.2, any::<char>()),
        ) {
            let fields: Vec<String> = entries.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
            let mut chars: Vec<char> = format!("{{\"id\":1,{}}}", fields.join(",")).chars().collect();
            if let Some(with) = with {
                let at = at.index(chars.len());
                chars[at] = with;
            }
            agrees(&chars.into_iter().collect::<String>());
            let all = format!("{{{}}}", fields.join(", "));
            agrees(&all);
        }
    }
}
