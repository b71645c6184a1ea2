//! A version in a media type of `Accept`.

use std::cmp::Reverse;

use http::HeaderMap;
use http::header::ACCEPT;

use super::Pattern;

/// The version of the media type that is wanted most; of equals, the first (RFC 9110 §12.5.1).
pub(super) fn in_accept(headers: &HeaderMap, pattern: &Pattern) -> Option<String> {
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let versions = ranges.filter_map(|range| {
        let (version, quality) = range_of(range, pattern)?;
        (quality > 0).then_some((quality, version))
    });
    let mut versions: Vec<(u16, String)> = versions.collect();
    versions.sort_by_key(|(quality, _)| Reverse(*quality));
    versions.into_iter().next().map(|(_, version)| version)
}

/// `Accept` with the plain type beside those that name a version: `application/json` for
/// `application/vnd.acme.v2+json`, as much wanted. What answers need not know the vendor's types.
/// `None`: it stays as it is.
pub(super) fn with_plain_type(accept: &str, pattern: &Pattern) -> Option<String> {
    let suffix = pattern.after.rsplit_once('+')?.1;
    let plain = format!("{}/{suffix}", pattern.before.split('/').next()?);
    let is_named = |range: &str| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(&plain)
    };
    if accept.split(',').any(is_named) {
        return None;
    }
    let versions = accept
        .split(',')
        .filter_map(|range| range_of(range, pattern));
    let quality = versions
        .map(|(_, quality)| quality)
        .max()
        .filter(|q| *q > 0)?;
    Some(match quality {
        1000 => format!("{accept}, {plain}"),
        quality => format!("{accept}, {plain};q=0.{quality:03}"),
    })
}

/// The version that a media range names, and thousandths.
fn range_of(range: &str, pattern: &Pattern) -> Option<(String, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let version = pattern
        .find(&parts.next()?.to_ascii_lowercase())?
        .to_owned();
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| quality(value.trim()))
    });
    Some((version, quality.unwrap_or(1000)))
}

/// Thousandths; what is no number counts as not wanted.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000"
        )]
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0).round() as u16,
        _ => 0,
    }
}
