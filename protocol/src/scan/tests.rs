//! The scanner against `serde_json`.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn serde_says(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[test]
fn each_kind_of_value_and_of_fault() {
    for good in [
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "-1.5e+7",
        "1E2",
        "10",
        r#""""#,
        r#""a""#,
        r#""\u00e9\n\"\\""#,
        r#""0123456789 ünï 0123456789""#,
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,[2,{}],3]",
        r#"{"a":{"b":[1,"x"]},"c":null}"#,
        "\t[\n1\r, 2 ] ",
    ] {
        assert!(is_value(good), "{good}");
        assert!(serde_says(good), "{good}");
    }
    for bad in [
        "",
        " ",
        "nul",
        "True",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "1 2",
        r#"""#,
        r#""\x""#,
        r#""\u12g4""#,
        "\"\n\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "{\"a\":1}}",
        "\u{feff}1",
    ] {
        assert!(!is_value(bad), "{bad}");
        assert!(!serde_says(bad), "{bad}");
    }
}

#[test]
fn what_is_too_deep_is_left_to_the_other() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(is_value(&nested(61)) && !is_value(&nested(62)));
    assert!(serde_says(&nested(62)));
}

#[test]
fn plain_strings_have_no_escapes() {
    assert_eq!(plain_string(r#"x"ab",1"#, 1), Some(("ab", 5)));
    assert_eq!(plain_string(r#""é""#, 0), Some(("é", 4)));
    for none in [r#""a\n""#, r#""a"#, "a", "", "\"a\u{1}\""] {
        assert_eq!(plain_string(none, 0), None, "{none}");
    }
}

/// Pieces of which most sequences are no JSON, and many nearly are.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\"a\":"),
        Just("\"a\""),
        Just("\\"),
        Just("\\u00e9"),
        Just("é"),
        Just("1"),
        Just("-0.5e3"),
        Just("0"),
        Just("true"),
        Just("null"),
        Just(" "),
        Just("\n"),
        Just("\u{7f}"),
        Just("\u{1}"),
        Just("long enough for a word"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|all| all.concat())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(".{0,10}", inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn it_says_what_serde_json_says(text in pieces()) {
        prop_assert_eq!(is_value(&text), serde_says(&text));
    }

    #[test]
    fn it_takes_all_that_is_printed(json in json(), pretty in any::<bool>()) {
        let text = if pretty { format!("{json:#}") } else { json.to_string() };
        prop_assert!(is_value(&text), "{}", text);
    }

    #[test]
    fn it_says_the_same_of_what_is_nearly_json(
        json in json(), at in any::<prop::sample::Index>(), with in any::<char>(),
    ) {
        let mut chars: Vec<char> = json.to_string().chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        prop_assert_eq!(is_value(&text), serde_says(&text));
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them(text in "\\PC*|.*|[ -~]*") {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
    }

    #[test]
    fn a_run_of_plain_text_ends_where_it_ends(
        text in "[a-zé]{0,90}[ -~\u{0}-\u{1f}]{0,3}[a-z]{0,40}",
        at in 0_usize..8,
    ) {
        let bytes = text.as_bytes();
        let ends = |b: &u8| *b < 0x20 || matches!(b, b'"' | b'\\');
        let at = at.min(bytes.len());
        let expected = bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n);
        prop_assert_eq!(plain(bytes, at), expected);
    }
}
