//! Versions of functions: any text, in one total order.
//!
//! Semantic versions (by their precedence) rank above dates, dates above all other texts, which
//! compare naturally: runs of digits as numbers. `v1` and `1.2` count as semantic versions with
//! the missing parts zero. A prerelease is never "latest".

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::id::{self, InvalidId};

/// What clients may send to mean "the latest version".
pub const LATEST: &str = "0.0.0";

/// A version of a function, as its worker wrote it.
///
/// Equality is by text; the order is total and agrees with equality, because texts of the same
/// precedence (`1.0.0+a`, `1.0.0+b`) are ordered by their bytes at last.
///
/// ```
/// use sluice_protocol::ApiVersion;
/// let v = |s| ApiVersion::new(s).unwrap();
/// assert!(v("1.10.0") > v("1.9.0"));
/// assert!(v("1.0.0") > v("1.0.0-rc.1"));
/// assert!(v("0.1.0") > v("2024-06-01"));
/// assert!(v("2024-06-01") > v("spring"));
/// ```
#[derive(Clone)]
pub struct ApiVersion {
    text: Arc<str>,
    rank: Arc<Rank>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Natural(Vec<Run>),
    Date(u32, u32, u32),
    Semantic(semver::Version),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    // Numbers of any length: first by count of digits without leading zeros, then by digits.
    Number(usize, String),
    Text(String),
}

impl ApiVersion {
    /// Takes any text that follows the rule of identifiers.
    ///
    /// # Errors
    /// When it is empty, too long, or holds a control character.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        id::check("version", text)?;
        Ok(Self {
            text: Arc::from(text),
            rank: Arc::new(Rank::of(text)),
        })
    }

    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a semantic version with a prerelease part: never picked as latest.
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        matches!(&*self.rank, Rank::Semantic(v) if !v.pre.is_empty())
    }
}

impl ApiVersion {
    /// The semantic version that this is, if it is one: `v1.2` is 1.2.0.
    #[must_use]
    pub fn semantic(&self) -> Option<&semver::Version> {
        match &*self.rank {
            Rank::Semantic(version) => Some(version),
            Rank::Date(..) | Rank::Natural(_) => None,
        }
    }
}

impl Rank {
    fn of(text: &str) -> Self {
        if let Some(version) = semantic(text) {
            return Self::Semantic(version);
        }
        date(text).unwrap_or_else(|| Self::Natural(runs(text)))
    }
}

/// `1.2.3`, `v1.2`, `2`: up to three numbers; a prerelease or build part needs all three.
fn semantic(text: &str) -> Option<semver::Version> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Ok(version) = semver::Version::parse(text) {
        return Some(version);
    }
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 2 {
        return None;
    }
    let number = |part: Option<&&str>| match part {
        None => Some(0),
        // A year is a date's beginning, not a major version; and `01` is no number of semver.
        Some(p)
            if p.bytes().all(|b| b.is_ascii_digit()) && (p.len() == 1 || !p.starts_with('0')) =>
        {
            p.parse().ok()
        }
        Some(_) => None,
    };
    Some(semver::Version::new(
        number(parts.first())?,
        number(parts.get(1))?,
        0,
    ))
}

/// `2024-06-01`, `20240601` is left to natural order: it could be any number.
fn date(text: &str) -> Option<Rank> {
    let mut parts = text.split('-');
    let (y, m, d) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    if parts.next().is_some() || y.len() != 4 || m.len() != 2 || d.len() != 2 {
        return None;
    }
    let number = |p: &str| {
        p.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| p.parse().ok())
            .flatten()
    };
    let (y, m, d) = (number(y)?, number(m)?, number(d)?);
    ((1..=12).contains(&m) && d <= 31).then_some(Rank::Date(y, m, d))
}

fn runs(text: &str) -> Vec<Run> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        rest = tail;
        out.push(if digits {
            let significant = run.trim_start_matches('0');
            Run::Number(significant.len(), significant.to_owned())
        } else {
            Run::Text(run.to_owned())
        });
    }
    out
}

impl PartialEq for ApiVersion {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ApiVersion {}

impl std::hash::Hash for ApiVersion {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for ApiVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rank = match (&*self.rank, &*other.rank) {
            // Build metadata has no precedence (semver 2.0.0 §10).
            (Rank::Semantic(a), Rank::Semantic(b)) => a.cmp_precedence(b),
            (a, b) => a.cmp(b),
        };
        by_rank.then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for ApiVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for ApiVersion {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for ApiVersion {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// The index of the latest of `versions`: the greatest that is no prerelease.
#[must_use]
pub fn latest<'a>(versions: impl IntoIterator<Item = &'a ApiVersion>) -> Option<&'a ApiVersion> {
    versions.into_iter().filter(|v| !v.is_prerelease()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> ApiVersion {
        ApiVersion::new(text).unwrap()
    }

    #[test]
    fn order_is_semver_then_dates_then_natural() {
        let ascending = [
            "alpha",
            "beta2",
            "beta10",
            "2023-12",
            "2024-01-31",
            "2024-02-01",
            "0.1.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.1",
            "1.0.0",
            "v1.2",
            "1.9.0",
            "1.10.0",
            "2",
            "10.0.0",
        ];
        for pair in ascending.windows(2) {
            assert!(v(pair[0]) < v(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn build_metadata_breaks_ties_only() {
        assert!(v("1.0.0+build") < v("1.0.1"));
        assert_ne!(v("1.0.0+a").cmp(&v("1.0.0+b")), Ordering::Equal);
    }

    #[test]
    fn latest_skips_prereleases() {
        let all = [v("1.0.0"), v("2.0.0-rc.1"), v("1.2.0")];
        assert_eq!(latest(&all), Some(&v("1.2.0")));
        assert_eq!(latest(&[v("2.0.0-rc.1")]), None);
    }
}
