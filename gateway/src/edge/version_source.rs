//! Where the version of a request comes from: an ordered list of places, by config.

mod accept;
mod place;

use std::borrow::Cow;

use http::header::{ACCEPT, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Method, Uri};
use sluice_protocol::id::check;
use sluice_protocol::{CallError, ErrorCode};

use self::accept::{in_accept, with_plain_type};
use self::place::{FromPath, strip};
pub(super) use self::place::{original, within_version};

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

impl VersionSources {
    /// The places that the config lists. It has checked them.
    #[must_use]
    pub fn new(sources: &[String]) -> Self {
        Self(sources.iter().flat_map(|s| Source::parse(s)).collect())
    }

    /// The headers of their own that requests name versions by.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderName> {
        let sources = self.0.iter().filter_map(|source| match source {
            Source::Header(name) => Some(name.clone()),
            _ => None,
        });
        sources.collect()
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
        if let Some((from, uri)) = stripped {
            head.extensions.insert(from);
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
                Source::Path { .. } => head
                    .extensions
                    .get::<FromPath>()
                    .map(|from| from.version.clone()),
                Source::Accept(pattern) => in_accept(&head.headers, pattern),
            };
            if let Some(version) = found.filter(|version| !version.is_empty()) {
                check("version", &version).map_err(|e| invalid(e.to_string()))?;
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Whether no request with this path comes to what is served there: a part of it is taken for a
    /// version.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let Ok(uri) = path.parse::<Uri>() else {
            return false;
        };
        self.0.iter().any(|source| match source {
            Source::Path { parent, segment } => strip(parent, segment, &uri).is_some(),
            _ => false,
        })
    }

    /// A value of `Accept` for whoever answers, who knows nothing of media types that name versions.
    #[must_use]
    pub fn plain_accept(&self, accept: String) -> String {
        let patterns = self.0.iter().filter_map(|source| match source {
            Source::Accept(pattern) => Some(pattern),
            _ => None,
        });
        patterns.fold(accept, |accept, pattern| {
            with_plain_type(&accept, pattern).unwrap_or(accept)
        })
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
            vary_on(response, &name);
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

/// Tells caches that a response depends on this header of its request.
pub(super) fn vary_on(response: &mut HeaderMap, name: &HeaderName) {
    if !names(response, name) {
        response.append(VARY, HeaderValue::from(name.clone()));
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

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
