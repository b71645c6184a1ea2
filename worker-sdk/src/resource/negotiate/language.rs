//! Languages, by the basic filtering of RFC 4647.

use super::list::{Element, elements, says_something};
use super::{Quality, UNLISTED, best};

/// One declared alternative: the languages of its audience, mostly one. `*` is language-neutral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages(Vec<String>);

impl Languages {
    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.0
    }

    /// Whether this is `*`: for every language and none.
    #[must_use]
    pub fn is_neutral(&self) -> bool {
        self.0.iter().any(|tag| tag == "*")
    }
}

impl From<&str> for Languages {
    fn from(tag: &str) -> Self {
        Self(vec![tag.to_owned()])
    }
}

impl From<String> for Languages {
    fn from(tag: String) -> Self {
        Self(vec![tag])
    }
}

impl<const N: usize> From<[&str; N]> for Languages {
    fn from(tags: [&str; N]) -> Self {
        Self(tags.map(str::to_owned).to_vec())
    }
}

impl From<Vec<String>> for Languages {
    fn from(tags: Vec<String>) -> Self {
        Self(tags)
    }
}

/// Picks the declared languages that the client likes best; without a header, the first.
#[must_use]
pub fn language<'a>(accept: Option<&str>, available: &'a [Languages]) -> Option<&'a Languages> {
    let Some(accept) = accept.filter(|value| says_something(Some(value))) else {
        return available.first();
    };
    let ranges = elements(accept);
    best(available.iter().map(|declared| {
        let tags = declared.tags().iter();
        let quality = tags.map(|tag| quality(&ranges, tag)).max();
        (declared, quality.unwrap_or(0), 0)
    }))
}

/// How much the client likes a tag: what the longest range that covers it says.
fn quality(ranges: &[Element<'_>], tag: &str) -> Quality {
    if tag == "*" {
        return UNLISTED;
    }
    let longest = ranges
        .iter()
        .filter(|range| covers(range.name, tag))
        .reduce(|a, b| if b.name.len() > a.name.len() { b } else { a });
    let rest = || ranges.iter().find(|range| range.name == "*");
    longest.or_else(rest).map_or(0, |range| range.quality)
}

fn covers(range: &str, tag: &str) -> bool {
    let (range, tag) = (range.as_bytes(), tag.as_bytes());
    !range.is_empty()
        && tag.len() >= range.len()
        && tag[..range.len()].eq_ignore_ascii_case(range)
        && (tag.len() == range.len() || tag[range.len()] == b'-')
}
