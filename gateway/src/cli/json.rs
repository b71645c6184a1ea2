//! Lays out JSON text without parsing values, so that numbers keep every digit.

use std::iter::Peekable;
use std::str::Chars;

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One value a line, indented by two.
    Indented,
    /// All in one line, without spaces.
    OneLine,
}

/// Lays out `json`, which must be valid. C1 control characters in it, which JSON allows and
/// terminals obey, are escaped.
pub(crate) fn lay_out(json: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        if layout == Layout::Indented {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => copy_string(&mut chars, &mut out),
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' if layout == Layout::Indented => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Copies a string after its opening quote, with its closing one.
fn copy_string(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        if c == '"' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn digits_and_order_are_kept() {
        let json = r#" {"b" : [1.0e2, 12345678901234567890123, {}], "a":"x\"y: [\\"} "#;
        assert_eq!(
            lay_out(json, Layout::Indented),
            "{\n  \"b\": [\n    1.0e2,\n    12345678901234567890123,\n    {}\n  ],\n  \"a\": \"x\\\"y: [\\\\\"\n}"
        );
        assert_eq!(
            lay_out(json, Layout::OneLine),
            r#"{"b":[1.0e2,12345678901234567890123,{}],"a":"x\"y: [\\"}"#
        );
    }

    #[test]
    fn terminal_controls_are_escaped() {
        assert_eq!(lay_out("\"\u{9b}2J\"", Layout::OneLine), "\"\\u009b2J\"");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_value_stays_the_same(value in any_json()) {
            for text in [value.to_string(), format!("{value:#}")] {
                for layout in [Layout::Indented, Layout::OneLine] {
                    let again: Value = serde_json::from_str(&lay_out(&text, layout)).unwrap();
                    prop_assert_eq!(&again, &value);
                }
            }
            prop_assert_eq!(lay_out(&format!("{value:#}"), Layout::OneLine).lines().count(), 1);
        }

        #[test]
        fn any_text_ends(text in ".{0,80}") {
            lay_out(&text, Layout::Indented);
        }
    }
}
