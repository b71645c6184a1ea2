//! Entity tags (RFC 9110 8.8.3) and how they are compared.

use std::fmt;

/// Names one state of a resource's representation.
///
/// ```
/// use sluice_worker::resource::ETag;
///
/// assert_eq!(ETag::strong("v1").to_string(), r#""v1""#);
/// assert_eq!(ETag::weak("v1").to_string(), r#"W/"v1""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag {
    value: String,
    weak: bool,
}

impl ETag {
    /// Changes with every byte of the representation.
    #[must_use]
    pub fn strong(value: impl Into<String>) -> Self {
        Self::new(value.into(), false)
    }

    /// Changes when the meaning of the representation does. Never satisfies `If-Match`.
    #[must_use]
    pub fn weak(value: impl Into<String>) -> Self {
        Self::new(value.into(), true)
    }

    /// What cannot stand in an entity tag is percent-encoded.
    fn new(value: String, weak: bool) -> Self {
        let allowed = |b: u8| matches!(b, b'!' | b'#'..=b'~');
        if value.bytes().all(allowed) {
            return Self { value, weak };
        }
        let mut encoded = String::with_capacity(value.len() * 2);
        for byte in value.bytes() {
            if allowed(byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        Self {
            value: encoded,
            weak,
        }
    }

    /// Whether a header value lists this tag; `*` alone is not looked at here.
    ///
    /// The strong comparison, for `If-Match`, matches no weak tag on either side.
    #[must_use]
    pub fn is_listed(&self, header: &str, comparison: Comparison) -> bool {
        let strong = comparison == Comparison::Strong;
        tags(header).any(|(value, weak)| value == self.value && !(strong && (weak || self.weak)))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.weak { "W/" } else { "" };
        write!(f, "{prefix}\"{}\"", self.value)
    }
}

/// How entity tags are compared (RFC 9110 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal, and neither is weak.
    Strong,
    /// Equal, weak or not.
    Weak,
}

/// The well-formed tags of a list, with whether each is weak. Tags know no escapes; what is not
/// quoted matches nothing.
fn tags(header: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = header;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return None;
            }
            let (quoted, weak) = match rest.strip_prefix("W/") {
                Some(quoted) => (quoted, true),
                None => (rest, false),
            };
            if let Some(inner) = quoted.strip_prefix('"') {
                let (value, after) = inner.split_once('"')?;
                // Between a tag and the next comma nothing may stand.
                let (junk, next) = after.split_once(',').unwrap_or((after, ""));
                rest = next;
                if junk.trim_matches([' ', '\t']).is_empty() {
                    return Some((value, weak));
                }
            } else {
                rest = rest.split_once(',').map_or("", |(_, next)| next);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_list() {
        let all = |header| tags(header).collect::<Vec<_>>();
        assert_eq!(
            all(r#""a", W/"b,c" ,"""#),
            [("a", false), ("b,c", true), ("", false)]
        );
        assert_eq!(all(r#"a, "b" x, w/"c", "d""#), [("d", false)]);
        assert_eq!(all(r#""never closed"#), []);
        assert_eq!(all("*"), []);
    }

    #[test]
    fn a_tag_cannot_break_out_of_its_quotes() {
        assert_eq!(
            ETag::strong("a\"b\r\nc d").to_string(),
            r#""a%22b%0D%0Ac%20d""#
        );
    }
}
