//! A version that is on its way out: since when, until when, where to read of it.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use serde::{Deserialize, Serialize};

/// Longest link.
const MAX_LINK_BYTES: usize = 1024;
/// Later than this no date is believed: the year 9999, after which HTTP cannot write one.
const MAX_SECS: u64 = 253_402_300_799;

/// Since when a version is deprecated, and until when it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// Since when (or from when on), in seconds since 1970.
    pub at: u64,
    /// When it will stop to answer, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<u64>,
    /// Where it says what to do instead: an `http` or `https` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Deprecation {
    /// Whether it can be told to clients.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.at > MAX_SECS || self.sunset.is_some_and(|s| s > MAX_SECS) {
            return Err("at and sunset: seconds since 1970, up to the year 9999".to_owned());
        }
        if self.sunset.is_some_and(|sunset| sunset < self.at) {
            return Err("sunset must not be before at".to_owned());
        }
        let Some(link) = &self.link else {
            return Ok(());
        };
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\');
        let is_web = link.starts_with("https://") || link.starts_with("http://");
        if !is_web || link.len() > MAX_LINK_BYTES || !link.bytes().all(is_plain) {
            return Err(format!(
                "link: an http or https address of at most {MAX_LINK_BYTES} bytes, percent-encoded"
            ));
        }
        Ok(())
    }
}

/// A deprecation as clients are told of it; written once, not for each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The `Deprecation` header (RFC 9745).
    pub deprecation: HeaderValue,
    /// The `Sunset` header (RFC 8594).
    pub sunset: Option<HeaderValue>,
    /// The `Link` header, `rel="deprecation"`.
    pub link: Option<HeaderValue>,
    /// The field of a socket's response: `{"at": …, "sunset": …, "link": …}`.
    pub field: String,
}

impl Notice {
    /// `None` where the deprecation does not hold its own [check](Deprecation::check).
    #[must_use]
    pub fn new(deprecation: &Deprecation) -> Option<Self> {
        deprecation.check().ok()?;
        let sunset = deprecation.sunset.map(|secs| {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
            HeaderValue::try_from(date)
        });
        let link = deprecation.link.as_ref().map(|link| {
            let text = format!("<{link}>; rel=\"deprecation\"; type=\"text/html\"");
            HeaderValue::try_from(text)
        });
        Some(Self {
            deprecation: HeaderValue::try_from(format!("@{}", deprecation.at)).ok()?,
            sunset: sunset.transpose().ok()?,
            link: link.transpose().ok()?,
            field: serde_json::to_string(deprecation).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deprecation(at: u64, sunset: Option<u64>, link: Option<&str>) -> Deprecation {
        let link = link.map(str::to_owned);
        Deprecation { at, sunset, link }
    }

    #[test]
    fn headers_are_written_as_their_standards_say() {
        let link = Some("https://example.com/v2");
        let notice = Notice::new(&deprecation(1_688_169_599, Some(1_688_256_000), link)).unwrap();
        assert_eq!(notice.deprecation, "@1688169599");
        assert_eq!(notice.sunset.unwrap(), "Sun, 02 Jul 2023 00:00:00 GMT");
        assert_eq!(
            notice.link.unwrap(),
            "<https://example.com/v2>; rel=\"deprecation\"; type=\"text/html\""
        );
        assert_eq!(
            notice.field,
            r#"{"at":1688169599,"sunset":1688256000,"link":"https://example.com/v2"}"#
        );
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        assert!(deprecation(5, Some(5), None).check().is_ok());
        for wrong in [
            deprecation(5, Some(4), None),
            deprecation(MAX_SECS + 1, None, None),
            deprecation(5, Some(u64::MAX), None),
            deprecation(5, None, Some("ftp://a")),
            deprecation(5, None, Some("https://a/>; rel=next, <b")),
            deprecation(5, None, Some("https://a\r\nX: y")),
            deprecation(5, None, Some("https://ä")),
            deprecation(5, None, Some(&format!("https://{}", "a".repeat(1024)))),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
            assert_eq!(Notice::new(&wrong), None);
        }
    }
}
