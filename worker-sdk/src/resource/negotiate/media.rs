//! Media types.

use super::list::{Element, element, elements, is_token, says_something};
use super::{Noun, Quality, Undeclarable, best};

/// A declared media type.
#[derive(Clone, Debug)]
pub(crate) struct MediaType {
    /// As declared, without the server's weight.
    spelling: String,
    main: String,
    sub: String,
    params: Vec<(String, String)>,
    /// Breaks ties between equal qualities of the client.
    weight: Quality,
}

/// Picks the declared media type that the client likes best.
///
/// Without a header any type will do. A declared `*/*` or `text/*` takes the client's best type
/// that it covers; a `q` on a declared type breaks ties between equal wishes of the client.
///
/// # Errors
///
/// A declared type cannot be read.
pub fn media_type<S: AsRef<str>>(
    accept: Option<&str>,
    available: &[S],
) -> Result<Option<String>, Undeclarable> {
    let available: Result<Vec<_>, _> = available
        .iter()
        .map(|declared| MediaType::declared(declared.as_ref()))
        .collect();
    let available = available?;
    let accept = accept.filter(|value| says_something(Some(value)));
    let ranges: Vec<_> = elements(accept.unwrap_or("*/*"))
        .into_iter()
        .filter_map(Range::new)
        .collect();
    let candidates = available.iter().filter_map(|declared| {
        let (selected, quality) = declared.candidate(&ranges)?;
        Some((selected, quality, declared.weight))
    });
    Ok(best(candidates))
}

/// Whether two media types are the same type and subtype, whatever their parameters.
pub(crate) fn same_type(one: &str, other: &str) -> bool {
    let name = |text: &str| element(text).name.to_ascii_lowercase();
    name(one) == name(other)
}

impl MediaType {
    pub(crate) fn declared(text: &str) -> Result<Self, Undeclarable> {
        let undeclarable = || Undeclarable {
            declared: text.to_owned(),
            what: Noun("media type"),
        };
        let parsed = element(text);
        let (main, sub) = type_of(parsed.name).ok_or_else(undeclarable)?;
        let visible = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
        if !visible(text) {
            return Err(undeclarable());
        }
        Ok(Self {
            spelling: without_quality(text).to_owned(),
            main: main.to_ascii_lowercase(),
            sub: sub.to_ascii_lowercase(),
            weight: parsed.quality,
            params: parsed
                .params
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
        })
    }

    /// What would be selected, and how much the client likes it.
    fn candidate(&self, ranges: &[Range<'_>]) -> Option<(String, Quality)> {
        if self.sub != "*" {
            let range = ranges
                .iter()
                .filter(|range| range.covers(self))
                .reduce(|a, b| {
                    if b.specificity() > a.specificity() {
                        b
                    } else {
                        a
                    }
                })?;
            return Some((self.spelling.clone(), range.quality));
        }
        let concrete = ranges.iter().filter(|range| {
            range.sub != "*" && (self.main == "*" || self.main.eq_ignore_ascii_case(range.main))
        });
        let found = best(concrete.map(|range| (range, range.quality, 0)))?;
        Some((found.spelled(), found.quality))
    }
}

/// One element of an `Accept`.
#[derive(Debug)]
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    params: Vec<(&'a str, String)>,
    quality: Quality,
}

impl<'a> Range<'a> {
    fn new(element: Element<'a>) -> Option<Self> {
        let (main, sub) = type_of(element.name)?;
        let mut params = element.params;
        params.retain(|(name, _)| !name.eq_ignore_ascii_case("charset"));
        Some(Self {
            main,
            sub,
            params,
            quality: element.quality,
        })
    }

    fn covers(&self, declared: &MediaType) -> bool {
        let main = self.main == "*" || self.main.eq_ignore_ascii_case(&declared.main);
        let sub = self.sub == "*" || self.sub.eq_ignore_ascii_case(&declared.sub);
        main && sub
            && self.params.iter().all(|(name, value)| {
                let mut has = declared.params.iter();
                has.any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
            })
    }

    fn specificity(&self) -> (bool, bool, usize) {
        (self.main != "*", self.sub != "*", self.params.len())
    }

    /// The range as a type of its own; parameters that are no tokens are quoted away.
    fn spelled(&self) -> String {
        let mut text = format!("{}/{}", self.main, self.sub);
        for (name, value) in &self.params {
            if is_token(name) && is_token(value) {
                text.push_str(&format!(";{name}={value}"));
            }
        }
        text
    }
}

/// Type and subtype; `None` for what is no media range.
fn type_of(name: &str) -> Option<(&str, &str)> {
    let (main, sub) = name.split_once('/')?;
    (is_token(main) && is_token(sub) && (main != "*" || sub == "*")).then_some((main, sub))
}

/// A declared type without `;q=…` and what follows it.
fn without_quality(text: &str) -> &str {
    let text = text.trim();
    let mut rest = 0;
    for part in text.split(';') {
        let key = part.split('=').next().unwrap_or_default().trim();
        if rest > 0 && key.eq_ignore_ascii_case("q") {
            return text[..rest - 1].trim_end();
        }
        rest += part.len() + 1;
    }
    text
}
