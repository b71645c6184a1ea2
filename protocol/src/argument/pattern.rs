//! Regular expressions of string arguments: matched in linear time, bounded in size.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// The longest expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256;
/// The largest compiled expression, in bytes.
const MAX_COMPILED_BYTES: usize = 128 * 1024;

/// A regular expression (syntax of the `regex` crate: no look-around, no back-references) that
/// describes a whole string, as if it stood between `^` and `$`.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// A text that is no expression, or too large a one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl Pattern {
    /// Takes an expression.
    ///
    /// # Errors
    /// When it is longer than [`MAX_PATTERN_BYTES`], not well-formed, or too large once compiled.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > MAX_PATTERN_BYTES {
            let text = format!("must be at most {MAX_PATTERN_BYTES} bytes");
            return Err(InvalidPattern(text));
        }
        let compile = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(MAX_COMPILED_BYTES)
                .dfa_size_limit(MAX_COMPILED_BYTES)
                .build()
                .map_err(|e| InvalidPattern(format!("is no regular expression: {e}")))
        };
        // By itself first: what is no expression alone, `a)(b`, could be one between the anchors.
        compile(text)?;
        let regex = compile(&format!("\\A(?:{text})\\z"))?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `text` is what the expression describes.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_describes_the_whole_string() {
        let word = Pattern::new("[a-z]+|[0-9]+").unwrap();
        for (text, matches) in [
            ("abc", true),
            ("12", true),
            ("abc12", false),
            ("a\n", false),
        ] {
            assert_eq!(word.matches(text), matches, "{text:?}");
        }
        assert!(Pattern::new("^é{2}$").unwrap().matches("éé"));
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        for bad in ["(", "a)(b", "(?<=a)b", "a{1000}{1000}", &"a".repeat(257)] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
