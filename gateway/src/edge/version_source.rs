//! Where the version of a request comes from: an ordered list of places, by config.

use std::borrow::Cow;
use std::cmp::Reverse;

use http::header::{ACCEPT, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Method, Uri};
use sluice_protocol::id::check;
use sluice_protocol::{CallError, ErrorCode};

/// What stands for the version in a pattern.
const PLACE: &str = "{version}";

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `field`: `version` of a whole request.
    Field,
    /// `header:NAME`.
    Header(HeaderName),
    /// `query:NAME`.
    Query(String),
    /// `path:/v{version}` or `path:/api/{version}`: a segment of the path, taken out of the path that
    /// is served. What stands for the version begins with a digit, or with `v` and a digit, so that
    /// no other path is taken for one.
    Path {
        /// What stands before the segment: nothing, or `/api`.
        parent: String,
        /// The segment, with its slash.
        segment: Pattern,
    },
    /// `accept:application/vnd.acme.v{version}+json`: a media type in `Accept`.
    Accept(Pattern),
}

/// A text around a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    after: String,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(PLACE)?;
        (!after.contains(PLACE)).then(|| Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let version = text.strip_prefix(self.before.as_str())?;
        let version = version.strip_suffix(self.after.as_str())?;
        (!version.is_empty()).then_some(version)
    }
}

impl Source {
    /// Reads a place as the config names it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "field" if rest.is_empty() => Ok(Self::Field),
            "header" => HeaderName::from_bytes(rest.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("{text:?}: {rest:?} is no name of a header")),
            "query" if !rest.is_empty() => Ok(Self::Query(rest.to_owned())),
            "path" => in_path(rest).ok_or_else(|| {
                format!(
                    "{text:?}: expected a pattern such as \"path:/v{{version}}\" or \"path:/api/{{version}}\""
                )
            }),
            "accept" => match Pattern::parse(&rest.to_ascii_lowercase()) {
                Some(p) if p.before.contains('/') => Ok(Self::Accept(p)),
                _ => Err(format!(
                    "{text:?}: expected a pattern such as \"accept:application/vnd.acme.v{{version}}+json\""
                )),
            },
            _ => Err(format!(
                "{text:?}: expected field, header:NAME, query:NAME, path:/v{{version}} or accept:TYPE"
            )),
        }
    }
}

/// Reads `/api/v{version}`: the version stands in the last segment.
fn in_path(text: &str) -> Option<Source> {
    let start = text.rfind('/')?;
    let (parent, segment) = text.split_at(start);
    let well_formed = parent.is_empty() || (parent.starts_with('/') && !parent.contains("//"));
    if !well_formed || parent.ends_with('/') || parent.contains(['{', '}', '?', '#']) {
        return None;
    }
    Some(Source::Path {
        parent: parent.to_owned(),
        segment: Pattern::parse(segment)?,
    })
}

/// All places, in their order.
#[derive(Debug, Clone, Default)]
pub struct VersionSources(Vec<Source>);

/// The version that the request named which opened a socket; among its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(pub String);

/// The version that a path began with; among the extensions of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FromPath(String);

impl VersionSources {
    /// The places that the config lists. It has checked them.
    #[must_use]
    pub fn new(sources: &[String]) -> Self {
        Self(sources.iter().flat_map(|s| Source::parse(s)).collect())
    }

    /// Takes the version off the path, where the path names one: what is left is what is served.
    pub fn strip(&self, head: &mut http::request::Parts) {
        let patterns = self.0.iter().filter_map(|source| match source {
            Source::Path { parent, segment } => Some((parent, segment)),
            _ => None,
        });
        let stripped = patterns
            .filter_map(|(parent, segment)| strip(parent, segment, &head.uri))
            .next();
        if let Some((version, uri)) = stripped {
            head.extensions.insert(FromPath(version));
            head.uri = uri;
        }
    }

    /// The version that a request names, in the first place that has one. `field` is that of a
    /// whole request.
    ///
    /// # Errors
    /// `invalid_request` when what stands there cannot be a version.
    pub fn find(
        &self,
        head: &http::request::Parts,
        field: Option<String>,
    ) -> Result<Option<String>, CallError> {
        let mut field = field;
        for source in &self.0 {
            let found = match source {
                Source::Field => field.take(),
                Source::Header(name) => text(&head.headers, name)?,
                Source::Query(name) => in_query(&head.uri, name),
                Source::Path { .. } => head.extensions.get::<FromPath>().map(|p| p.0.clone()),
                Source::Accept(pattern) => in_accept(&head.headers, pattern),
            };
            if let Some(version) = found.filter(|version| !version.is_empty()) {
                check("version", &version).map_err(|e| invalid(e.to_string()))?;
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// The query without the parameter that names a version: that is no arg.
    #[must_use]
    pub fn args_of<'q>(&self, query: &'q str) -> Cow<'q, str> {
        let is_version = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            self.0
                .iter()
                .any(|source| matches!(source, Source::Query(own) if own == name))
        };
        if !query.split('&').any(is_version) {
            return Cow::Borrowed(query);
        }
        let others: Vec<&str> = query.split('&').filter(|pair| !is_version(pair)).collect();
        Cow::Owned(others.join("&"))
    }

    /// Tells caches which headers were looked at to find the version: up to the one that named it.
    /// Answers that no cache keeps name a header only if the request did.
    pub fn vary(&self, head: &http::request::Parts, response: &mut HeaderMap) {
        let (looked_at, found) = self.looked_at(head);
        if !found && !matches!(head.method, Method::GET | Method::HEAD) {
            return;
        }
        for name in looked_at {
            if !names(response, &name) {
                response.append(VARY, HeaderValue::from(name));
            }
        }
    }

    /// The headers that were looked at, and whether one of them named the version.
    fn looked_at(&self, head: &http::request::Parts) -> (Vec<HeaderName>, bool) {
        let mut names = Vec::new();
        for source in &self.0 {
            let (name, found) = match source {
                Source::Header(name) => (name, head.headers.contains_key(name)),
                Source::Accept(pattern) => (&ACCEPT, in_accept(&head.headers, pattern).is_some()),
                Source::Path { .. } if head.extensions.get::<FromPath>().is_some() => break,
                Source::Query(name) if in_query(&head.uri, name).is_some() => break,
                Source::Path { .. } | Source::Query(_) | Source::Field => continue,
            };
            names.push(name.clone());
            if found {
                return (names, true);
            }
        }
        (names, false)
    }
}

/// Whether `Vary` has this name already.
fn names(response: &HeaderMap, name: &HeaderName) -> bool {
    let lines = response.get_all(VARY).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|own| own.trim().eq_ignore_ascii_case(name.as_str()))
}

fn strip(parent: &str, pattern: &Pattern, uri: &Uri) -> Option<(String, Uri)> {
    let path = uri.path().strip_prefix(parent)?;
    let end = match path.strip_prefix('/')?.find('/') {
        Some(end) => end + 1,
        // `/api/v2` is `/api`; of `/v2` alone nothing would be left.
        None if !parent.is_empty() => path.len(),
        None => return None,
    };
    let (segment, rest) = path.split_at(end);
    let version = pattern.find(segment)?;
    let number = version.strip_prefix(['v', 'V']).unwrap_or(version);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let version = percent_encoding::percent_decode_str(version)
        .decode_utf8()
        .ok()?;
    let mut parts = uri.clone().into_parts();
    let served = match uri.query() {
        Some(query) => format!("{parent}{rest}?{query}"),
        None => format!("{parent}{rest}"),
    };
    parts.path_and_query = Some(served.parse().ok()?);
    Some((version.into_owned(), Uri::from_parts(parts).ok()?))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, CallError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(invalid(format!("header {name} is not UTF-8"))),
    }
}

fn in_query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let value = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(own, _)| *own == name)?
        .1;
    let value = percent_encoding::percent_decode_str(value)
        .decode_utf8()
        .ok()?;
    Some(value.into_owned())
}

/// The version of the media type that is wanted most; of equals, the first (RFC 9110 §12.5.1).
fn in_accept(headers: &HeaderMap, pattern: &Pattern) -> Option<String> {
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let versions = ranges.filter_map(|range| {
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
        let quality = quality.unwrap_or(1000);
        (quality > 0).then_some((quality, version))
    });
    let mut versions: Vec<(u16, String)> = versions.collect();
    versions.sort_by_key(|(quality, _)| Reverse(*quality));
    versions.into_iter().next().map(|(_, version)| version)
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

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
