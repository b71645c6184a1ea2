//! A request's path, taken apart.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The most segments of a path that a route may match.
const MAX_SEGMENTS: usize = 64;

/// A path that no route can match, because it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The segments of a path, each percent-decoded on its own: an encoded slash is part of a segment
/// and divides none, but what it parts may be no dot segment either: whoever joins them with others
/// would leave the place that the route gives them. A slash at the end makes a last segment that is empty.
///
/// # Errors
/// When a segment is not percent-encoded UTF-8, has control characters or is a dot segment, which
/// clients resolve and nobody else should; or when there are too many.
pub fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let inner = path.strip_prefix('/').ok_or(Malformed)?;
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = Vec::with_capacity(8);
    for part in inner.split('/') {
        if out.len() == MAX_SEGMENTS {
            return Err(Malformed);
        }
        let text = decode(part).ok_or(Malformed)?;
        let dots = text
            .split(['/', '\\'])
            .any(|part| matches!(part, "." | ".."));
        if dots || text.bytes().any(|b| b.is_ascii_control()) {
            return Err(Malformed);
        }
        out.push(text);
    }
    Ok(out)
}

/// Whether segments may be joined to the rest of a path: slashes in them could not be told from
/// those between them.
pub(super) fn may_be_joined(segments: &[Cow<'_, str>]) -> bool {
    !segments.iter().any(|s| s.contains(['/', '\\']))
}

fn decode(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains('%') {
        return Some(Cow::Borrowed(part));
    }
    // A percent sign that begins no triplet would be taken as it is.
    let is_escape = |e: &str| {
        let digits = e.as_bytes().get(..2);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    if !part.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode_str(part).decode_utf8().ok()
}
