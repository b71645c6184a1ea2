//! Where a JSON value ends, found quickly; and strings, written so.
//!
//! Not a second parser with an opinion of its own: what is accepted here is what `serde_json`
//! accepts, and whatever is not plainly that yields `None`, upon which callers ask `serde_json`,
//! whose verdict and words count. A property test holds one against the other.
//!
//! Everything works on text that is known to be UTF-8.

/// Deeper values are left to `serde_json`.
const MAX_DEPTH: u32 = 60;

/// Whether `text` is exactly one value; false: ask `serde_json`.
#[must_use]
pub fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = value(bytes, space(bytes, 0));
    end.is_some_and(|end| space(bytes, end) == bytes.len())
}

/// The place after white space.
#[must_use]
#[inline]
pub fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The place after `byte` and the white space around it.
#[must_use]
#[inline]
pub fn token(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = space(text, at);
    (text.get(at) == Some(&byte)).then(|| space(text, at + 1))
}

/// The string that begins at `at`, and the place after it; only without escapes.
#[must_use]
#[inline]
pub fn plain_string(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = plain(bytes, at + 1);
    (bytes.get(end) == Some(&b'"')).then(|| Some((text.get(at + 1..end)?, end + 1)))?
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    if plain(text.as_bytes(), 0) == text.len() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    #[expect(clippy::expect_used, reason = "text, into memory")]
    serde_json::to_writer(out, text).expect("text serializes");
}

/// The place after the value that begins at `at`.
#[must_use]
pub fn value(text: &[u8], mut at: usize) -> Option<usize> {
    // One bit for each list or object that is open: whether it is an object.
    let (mut open, mut depth) = (0_u64, 0_u32);
    loop {
        // A value is due.
        match text.get(at)? {
            b'"' => at = string(text, at)?,
            b'{' => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b'}') {
                    at += 1;
                } else {
                    (open, depth) = ((open << 1) | 1, deeper(depth)?);
                    at = key(text, at)?;
                    continue;
                }
            }
            b'[' => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b']') {
                    at += 1;
                } else {
                    (open, depth) = (open << 1, deeper(depth)?);
                    continue;
                }
            }
            b't' => at = literal(text, at, b"true")?,
            b'f' => at = literal(text, at, b"false")?,
            b'n' => at = literal(text, at, b"null")?,
            _ => at = number(text, at)?,
        }
        // It is over; what is it within?
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space(text, at);
            let object = open & 1 == 1;
            match text.get(at)? {
                b',' if object => at = key(text, space(text, at + 1))?,
                b',' => at = space(text, at + 1),
                b'}' if object => {
                    (open, depth, at) = (open >> 1, depth - 1, at + 1);
                    continue;
                }
                b']' if !object => {
                    (open, depth, at) = (open >> 1, depth - 1, at + 1);
                    continue;
                }
                _ => return None,
            }
            break;
        }
    }
}

fn deeper(depth: u32) -> Option<u32> {
    (depth < MAX_DEPTH).then_some(depth + 1)
}

/// The place of the value whose key begins at `at`.
#[inline]
fn key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    token(text, string(text, at)?, b':')
}

#[inline]
fn literal(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (text.get(at..end)? == word).then_some(end)
}

/// The place after the string that begins at `at`.
fn string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = plain(text, at + 1);
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {}
            _ => return None,
        }
        at = match text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
            b'u' => {
                let digits = text.get(at + 2..at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)?
            }
            _ => return None,
        };
        at = plain(text, at);
    }
}

/// The place of the first byte that ends a run of plain text: a quote, a backslash, a control
/// character, or the end.
#[inline]
fn plain(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // Long runs, by instructions that take many bytes at once.
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        let ends = |found: bool, b: &u8| found | (*b < 0x20) | (*b == b'"') | (*b == b'\\');
        if chunk.iter().fold(false, ends) {
            break;
        }
        at += 32;
    }
    // Eight bytes at a time: a borrow may only spoil bytes after the first that is found.
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * 0x22));
        let backslash = zero(word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    at + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The place after the number that begins at `at`.
fn number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(text, at),
        _ => return None,
    };
    if text.get(at) == Some(&b'.') {
        at = some_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = some_digits(text, at)?;
    }
    Some(at)
}

fn digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Option<usize> {
    let end = digits(text, at);
    (end > at).then_some(end)
}

#[cfg(test)]
mod tests {
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
        fn a_run_of_plain_text_ends_where_it_ends(text in "[ -~é\u{0}-\u{1f}]{0,40}", at in 0_usize..8) {
            let bytes = text.as_bytes();
            let ends = |b: &u8| *b < 0x20 || matches!(b, b'"' | b'\\');
            let at = at.min(bytes.len());
            let expected = bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n);
            prop_assert_eq!(plain(bytes, at), expected);
        }
    }
}
