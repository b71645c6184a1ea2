//! Ranges of semantic versions: `^1.2`, `~1.2.3`, `1.x`, `>=1.2, <2`.

use crate::ApiVersion;

/// Longer texts are no ranges.
const MAX_BYTES: usize = 64;

/// A range of semantic versions.
///
/// ```
/// use sluice_protocol::{ApiVersion, VersionRange};
/// let range = VersionRange::parse("1.x").unwrap();
/// let contains = |text| range.contains(&ApiVersion::new(text).unwrap());
/// assert!(contains("1.9.0") && contains("v1"));
/// assert!(!contains("2.0.0") && !contains("1.9.0-rc.1") && !contains("2024-06-01"));
/// assert!(VersionRange::parse("1.2").is_none(), "a version, not a range");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange(semver::VersionReq);

impl VersionRange {
    /// Reads a text that can only be meant as a range: it begins with an operator (`^`, `~`, `>`,
    /// `<`, `=`), or one of its parts is `x`, `X` or `*`. All else is the name of a version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return None;
        }
        let is_wild = |part: &str| matches!(part, "x" | "X" | "*");
        let has_operator = text.starts_with(['^', '~', '>', '<', '=']);
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if !has_operator && !bare.split('.').any(is_wild) {
            return None;
        }
        let parsed = if has_operator {
            semver::VersionReq::parse(text)
        } else {
            let parts = bare.split('.').map(|p| if is_wild(p) { "*" } else { p });
            semver::VersionReq::parse(&parts.collect::<Vec<_>>().join("."))
        };
        parsed.ok().map(Self)
    }

    /// Whether the version is a semantic one within the range. A prerelease is in a range only
    /// if the range names a prerelease of the same version.
    #[must_use]
    pub fn contains(&self, version: &ApiVersion) -> bool {
        version.semantic().is_some_and(|v| self.0.matches(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_they_say() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "^1.2",
                &["1.2.0", "1.9.9", "v1.3"],
                &["1.1.9", "2.0.0", "1.3.0-rc.1"],
            ),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0", "0.2.2"]),
            ("~1.2", &["1.2.0", "1.2.9"], &["1.3.0"]),
            (
                "1.x",
                &["1.0.0", "1", "1.9"],
                &["2.0.0", "0.9.0", "spring", "2024-06-01"],
            ),
            ("v1.X", &["1.0.0"], &["2.0.0"]),
            ("1.2.*", &["1.2.7"], &["1.3.0"]),
            ("*", &["0.0.1", "9.0.0"], &["9.0.0-rc.1", "spring"]),
            (">=1.2, <2", &["1.2.0", "1.99.0"], &["2.0.0", "1.1.0"]),
            ("=1.2.3", &["1.2.3"], &["1.2.4"]),
            ("^1.3.0-rc.1", &["1.3.0-rc.2", "1.3.0"], &["1.4.0-rc.1"]),
        ];
        for (text, inside, outside) in cases {
            let range = VersionRange::parse(text).unwrap();
            let contains = |v: &&&str| range.contains(&ApiVersion::new(v).unwrap());
            assert!(inside.iter().all(|v| contains(&v)), "{text} {inside:?}");
            assert!(!outside.iter().any(|v| contains(&v)), "{text} {outside:?}");
        }
    }

    #[test]
    fn names_of_versions_and_nonsense_are_no_ranges() {
        let long = format!("^1.{}", "0".repeat(MAX_BYTES));
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3",
            "v2",
            "2024-06-01",
            "spring",
            "1.2.3-x",
            "xx",
            "^",
            "^a",
            "x.1",
            "1.x.2",
            "> 1 2",
            "^1..",
            &long,
        ] {
            assert_eq!(VersionRange::parse(text), None, "{text}");
        }
    }
}
