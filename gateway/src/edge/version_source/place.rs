//! A version in the path: taken off it, and put back into the references of an answer.

use http::Uri;
use http::request::Parts as Head;

use super::Pattern;

/// The version that a path named, and the path as the client sent it; among the extensions of a
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FromPath {
    pub(super) version: String,
    /// What stands before the version's segment: nothing, or `/api`.
    parent: String,
    /// The version's segment as it was sent, with its slash.
    segment: String,
    pattern: Pattern,
    original: Uri,
}

/// The URI as the client sent it.
pub(in crate::edge) fn original(head: &Head) -> &Uri {
    let of = head.extensions.get::<FromPath>();
    of.map_or(&head.uri, |from| &from.original)
}

/// A reference of an answer to a path of the same host, in the version that the request's path
/// named; `None`: it stays as it is. Whoever answers knows nothing of that version.
pub(in crate::edge) fn within_version(head: &Head, reference: &str) -> Option<String> {
    let from = head.extensions.get::<FromPath>()?;
    let inner = reference.strip_prefix(from.parent.as_str())?;
    // `//host/…` names another host.
    if !inner.starts_with('/') || reference.starts_with("//") {
        return None;
    }
    let end = inner[1..]
        .find(['/', '?', '#'])
        .map_or(inner.len(), |end| end + 1);
    if number(&from.pattern, &inner[..end]).is_some() {
        return None;
    }
    Some(format!("{}{}{inner}", from.parent, from.segment))
}

/// Takes the version off a path: what was found, and what is left.
pub(super) fn strip(parent: &str, pattern: &Pattern, uri: &Uri) -> Option<(FromPath, Uri)> {
    let path = uri.path().strip_prefix(parent)?;
    let end = match path.strip_prefix('/')?.find('/') {
        Some(end) => end + 1,
        // `/api/v2` is `/api`; of `/v2` alone nothing would be left.
        None if !parent.is_empty() => path.len(),
        None => return None,
    };
    let (segment, rest) = path.split_at(end);
    let version = percent_encoding::percent_decode_str(number(pattern, segment)?)
        .decode_utf8()
        .ok()?;
    let mut parts = uri.clone().into_parts();
    let served = match uri.query() {
        Some(query) => format!("{parent}{rest}?{query}"),
        None => format!("{parent}{rest}"),
    };
    parts.path_and_query = Some(served.parse().ok()?);
    let from = FromPath {
        version: version.into_owned(),
        parent: parent.to_owned(),
        segment: segment.to_owned(),
        pattern: pattern.clone(),
        original: uri.clone(),
    };
    Some((from, Uri::from_parts(parts).ok()?))
}

/// What stands for the version in a segment, if that is one.
fn number<'s>(pattern: &Pattern, segment: &'s str) -> Option<&'s str> {
    let version = pattern.find(segment)?;
    let number = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let is_one = number.starts_with(|c: char| c.is_ascii_digit());
    is_one.then_some(version)
}
