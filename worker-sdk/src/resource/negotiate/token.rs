//! Charsets and content codings: plain tokens with `*` for the rest.

use super::list::{Element, elements, says_something};
use super::{Quality, UNLISTED, best};

/// Picks the declared charset that the client likes best; without a header, the first.
#[must_use]
pub fn charset<S: AsRef<str>>(accept: Option<&str>, available: &[S]) -> Option<String> {
    let Some(accept) = accept.filter(|value| says_something(Some(value))) else {
        return available.first().map(|s| s.as_ref().to_owned());
    };
    let listed = elements(accept);
    let candidates = available.iter().map(|declared| {
        let quality = named(&listed, declared.as_ref()).or_else(|| named(&listed, "*"));
        (declared.as_ref().to_owned(), quality.unwrap_or(0), 0)
    });
    best(candidates)
}

/// Picks the declared content coding that the client likes best; without a header, `identity`.
///
/// `identity` is declared first unless it is declared elsewhere, and acceptable unless refused.
#[must_use]
pub fn encoding<S: AsRef<str>>(accept: Option<&str>, available: &[S]) -> Option<String> {
    let Some(accept) = accept.filter(|value| says_something(Some(value))) else {
        return Some("identity".to_owned());
    };
    let listed = elements(accept);
    let candidates = with_identity(available).map(|declared| {
        let listed = named(&listed, declared).or_else(|| named(&listed, "*"));
        let unlisted = if is_identity(declared) { UNLISTED } else { 0 };
        (declared.to_owned(), listed.unwrap_or(unlisted), 0)
    });
    best(candidates)
}

/// The declared codings, with the identity that is implied.
pub(crate) fn with_identity<S: AsRef<str>>(available: &[S]) -> impl Iterator<Item = &str> {
    let declared = available.iter().any(|s| is_identity(s.as_ref()));
    let implied = (!declared).then_some("identity");
    implied
        .into_iter()
        .chain(available.iter().map(AsRef::as_ref))
}

pub(crate) fn is_identity(coding: &str) -> bool {
    coding.eq_ignore_ascii_case("identity")
}

fn named(listed: &[Element<'_>], name: &str) -> Option<Quality> {
    let name = canonical(name);
    let mut listed = listed.iter();
    let found = listed.find(|element| canonical(element.name).eq_ignore_ascii_case(name))?;
    Some(found.quality)
}

/// Old names of codings (RFC 9110 8.4.1); no charset has such a name.
fn canonical(name: &str) -> &str {
    match name {
        _ if name.eq_ignore_ascii_case("x-gzip") => "gzip",
        _ if name.eq_ignore_ascii_case("x-compress") => "compress",
        name => name,
    }
}
