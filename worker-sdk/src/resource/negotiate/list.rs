//! Lists in header values: elements, their parameters and qualities.

use http::HeaderMap;

use super::{FULL, Quality, UNREADABLE};

/// Elements of one header that are read; a client that sends more is not heard further.
const MOST_ELEMENTS: usize = 256;

/// The lines of a header, joined into one list; `None` if there is no line.
#[must_use]
pub fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut lines = headers.get_all(name).iter();
    let mut all = String::from_utf8_lossy(lines.next()?.as_bytes()).into_owned();
    for line in lines {
        all.push_str(", ");
        all.push_str(&String::from_utf8_lossy(line.as_bytes()));
    }
    Some(all)
}

/// Splits outside of quoted strings, trims, and leaves empty parts out.
pub(crate) fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.char_indices().find(|&(_, c)| {
            if escaped {
                escaped = false;
            } else if quoted && c == '\\' {
                escaped = true;
            } else if c == '"' {
                quoted = !quoted;
            }
            !quoted && c == at
        });
        let part = match end {
            Some((index, _)) => {
                rest = Some(&text[index + at.len_utf8()..]);
                &text[..index]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(part.trim_matches([' ', '\t']))
    })
    .filter(|part| !part.is_empty())
}

/// One element of a list: its name, the parameters before `q`, and its quality.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    pub(crate) name: &'a str,
    pub(crate) params: Vec<(&'a str, String)>,
    pub(crate) quality: Quality,
}

/// The elements of a list. A value without any counts as an absent header.
pub(crate) fn elements(value: &str) -> Vec<Element<'_>> {
    split(value, ',').take(MOST_ELEMENTS).map(element).collect()
}

/// Whether a header is there and says something.
pub(crate) fn says_something(value: Option<&str>) -> bool {
    value.is_some_and(|value| split(value, ',').next().is_some())
}

pub(crate) fn element(text: &str) -> Element<'_> {
    let mut parts = split(text, ';');
    // A text that begins with `;` has no name: an empty one matches nothing.
    let name = if text.starts_with(';') {
        ""
    } else {
        parts.next().unwrap_or_default()
    };
    let mut params = Vec::new();
    let mut weight = FULL;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (key.trim(), value.trim());
        if key.eq_ignore_ascii_case("q") {
            weight = quality(value);
            break;
        }
        params.push((key, unquoted(value)));
    }
    Element {
        name,
        params,
        quality: weight,
    }
}

/// Millionths of a decimal, at most 1.
fn quality(text: &str) -> Quality {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        Ok(number) if is_decimal => (number.clamp(0.0, 1.0) * f64::from(FULL)).round() as Quality,
        _ => UNREADABLE,
    }
}

/// The content of a quoted string, or the text itself.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// Whether a text is a token of RFC 9110.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_outside_of_quotes() {
        let parts: Vec<_> = split(r#"a;x="b,c\",d" , ,, e"#, ',').collect();
        assert_eq!(parts, [r#"a;x="b,c\",d""#, "e"]);
        assert_eq!(split(r#""never closed, x"#, ',').count(), 1);
        assert_eq!(split("ä,ö", ',').collect::<Vec<_>>(), ["ä", "ö"]);
    }

    #[test]
    fn qualities_are_decimals() {
        for (text, expected) in [
            ("0", 0),
            ("1", FULL),
            ("0.123", 123_000),
            ("7", FULL),
            ("", UNREADABLE),
            ("1e0", UNREADABLE),
            ("-1", UNREADABLE),
            ("nan", UNREADABLE),
            ("0.7)", UNREADABLE),
        ] {
            assert_eq!(quality(text), expected, "{text:?}");
        }
    }
}
