//! The properties of a resource, and what the tests of the graph find out with them.

use http::header::HeaderValue;
use http::{Method, header};

use super::negotiate::{
    self, Dimension, Languages, is_identity, same_type, says_something, with_identity,
};
use super::table::{Decision, Part, Test};
use super::trace::{Answer, Step};
use super::{Comparison, ETag, Handler, HttpDate, Node, Source, Visit};
use crate::Error;

/// What a resource declares of its representations.
#[derive(Debug)]
pub(crate) struct Alternatives {
    pub(crate) media_types: Option<Source<Vec<String>>>,
    pub(crate) languages: Option<Source<Vec<Languages>>>,
    pub(crate) charsets: Option<Source<Vec<String>>>,
    pub(crate) encodings: Option<Source<Vec<String>>>,
    pub(crate) lenient_language: bool,
}

/// The validators of a resource.
#[derive(Debug, Default)]
pub(crate) struct Validators {
    pub(crate) etag: Option<Source<Option<ETag>>>,
    pub(crate) last_modified: Option<Source<Option<HttpDate>>>,
}

/// What a response may say of its resource.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) allowed_methods: Vec<Method>,
    pub(crate) patch_types: Vec<String>,
    pub(crate) challenge: Option<HeaderValue>,
}

impl Facts {
    /// Whether the body of a PATCH is of a declared type.
    pub(crate) fn patch_type(&self, visit: &Visit) -> bool {
        if visit.method() != Method::PATCH || self.patch_types.is_empty() {
            return true;
        }
        let sent = visit.joined(header::CONTENT_TYPE.as_str());
        let mut types = self.patch_types.iter();
        sent.is_some_and(|sent| types.any(|declared| same_type(&sent, declared)))
    }
}

impl Validators {
    /// Asks for both, once in a visit: first the date, then the tag.
    pub(crate) async fn ask(&self, visit: &Visit) -> Result<(), Error> {
        if visit.state(|state| state.last_modified.is_none()) {
            let date = match &self.last_modified {
                Some(source) => source.get(visit).await?,
                None => None,
            };
            visit.state(|state| state.last_modified = Some(date));
        }
        if visit.state(|state| state.etag.is_none()) {
            let tag = match &self.etag {
                Some(source) => source.get(visit).await?,
                None => None,
            };
            visit.state(|state| state.etag = Some(tag));
        }
        Ok(())
    }

    /// Forgets what was asked: the resource has changed.
    pub(crate) fn forget(visit: &Visit) {
        visit.state(|state| {
            state.etag = None;
            state.last_modified = None;
        });
    }
}

impl Alternatives {
    /// Negotiates one dimension: false if nothing acceptable is declared. Without a header the
    /// default is selected.
    pub(crate) async fn settle(&self, visit: &Visit, of: Dimension) -> Result<bool, Error> {
        let header = visit.joined(of.header());
        let header = header
            .as_deref()
            .filter(|value| says_something(Some(value)));
        match of {
            Dimension::MediaType => self.settle_media_type(visit, header).await,
            Dimension::Language => self.settle_language(visit, header).await,
            Dimension::Charset => self.settle_charset(visit, header).await,
            Dimension::Encoding => self.settle_encoding(visit, header).await,
        }
    }

    /// Whether anything is declared of a dimension.
    pub(crate) fn declares(&self, dimension: Dimension) -> bool {
        match dimension {
            Dimension::MediaType => self.media_types.is_some(),
            Dimension::Language => self.languages.is_some(),
            Dimension::Charset => self.charsets.is_some(),
            Dimension::Encoding => self.encodings.is_some(),
        }
    }

    async fn settle_media_type(&self, visit: &Visit, header: Option<&str>) -> Result<bool, Error> {
        let Some(source) = &self.media_types else {
            return Ok(true);
        };
        let declared = source.get(visit).await?;
        if declared.is_empty() {
            return Ok(header.is_none());
        }
        vary(visit, Dimension::MediaType);
        let selected = negotiate::media_type(header, &declared)?;
        let acceptable = selected.is_some() || header.is_none();
        visit.state(|state| state.negotiated.media_type = selected);
        Ok(acceptable)
    }

    async fn settle_language(&self, visit: &Visit, header: Option<&str>) -> Result<bool, Error> {
        let declared = declared(self.languages.as_ref(), visit).await?;
        if declared.iter().all(Languages::is_neutral) {
            return Ok(true);
        }
        if header.is_some() || declared.len() > 1 {
            vary(visit, Dimension::Language);
        }
        let selected = match negotiate::language(header, &declared) {
            None if self.lenient_language => declared.first(),
            selected => selected,
        };
        let acceptable = selected.is_some();
        visit.state(|state| state.negotiated.language = selected.cloned());
        Ok(acceptable)
    }

    async fn settle_charset(&self, visit: &Visit, header: Option<&str>) -> Result<bool, Error> {
        let declared = declared(self.charsets.as_ref(), visit).await?;
        if declared.is_empty() {
            return Ok(true);
        }
        if header.is_some() || declared.len() > 1 {
            vary(visit, Dimension::Charset);
        }
        let selected = negotiate::charset(header, &declared);
        let acceptable = selected.is_some();
        visit.state(|state| match header {
            Some(_) => state.negotiated.charset = selected,
            None => state.negotiated.text_charset = selected,
        });
        Ok(acceptable)
    }

    async fn settle_encoding(&self, visit: &Visit, header: Option<&str>) -> Result<bool, Error> {
        let declared = declared(self.encodings.as_ref(), visit).await?;
        if declared.is_empty() {
            return Ok(true);
        }
        if header.is_some() || with_identity(&declared).count() > 1 {
            vary(visit, Dimension::Encoding);
        }
        let selected = negotiate::encoding(header, &declared);
        let acceptable = selected.is_some();
        visit.state(|state| state.negotiated.encoding = selected);
        Ok(acceptable)
    }
}

/// Whether a coding has to be named in `Content-Encoding`.
pub(crate) fn is_coded(coding: &str) -> bool {
    !is_identity(coding)
}

async fn declared<T: Clone>(
    source: Option<&Source<Vec<T>>>,
    visit: &Visit,
) -> Result<Vec<T>, Error> {
    match source {
        Some(source) => source.get(visit).await,
        None => Ok(Vec::new()),
    }
}

fn vary(visit: &Visit, on: Dimension) {
    visit.state(|state| {
        if !state.negotiated.vary.contains(&on) {
            state.negotiated.vary.push(on);
        }
    });
}

/// A test of the preconditions. The validators must have been asked for.
pub(crate) fn precondition(visit: &Visit, test: Test) -> bool {
    let date = |header: &str| visit.joined(header)?.parse::<HttpDate>().ok();
    let is_listed = |header: &str, comparison| {
        let tag = visit.state(|state| state.etag.clone()).flatten();
        let listed = visit.joined(header);
        tag.zip(listed)
            .is_some_and(|(tag, listed)| tag.is_listed(&listed, comparison))
    };
    let modified = visit.state(|state| state.last_modified).flatten();
    match test {
        Test::GetOrHead => visit.is_read(),
        Test::Method(name) => visit.method().as_str() == name,
        Test::Has(header) => is_conditional(visit) && visit.headers().contains_key(header),
        Test::HasOnRead(header) => visit.is_read() && visit.headers().contains_key(header),
        Test::IsStar(header) => visit.joined(header).is_some_and(|v| v.trim() == "*"),
        Test::IsDate(header) => date(header).is_some(),
        Test::StrongMatch => is_listed("if-match", Comparison::Strong),
        Test::WeakMatch => is_listed("if-none-match", Comparison::Weak),
        Test::Unmodified => {
            let since = modified.zip(date("if-unmodified-since"));
            since.is_none_or(|(modified, since)| modified <= since)
        }
        Test::Modified => {
            let since = modified.zip(date("if-modified-since"));
            since.is_none_or(|(modified, since)| modified > since)
        }
        // These ask the resource itself; no precondition does.
        Test::KnownMethod
        | Test::AllowedMethod
        | Test::PatchType
        | Test::Accepts(_)
        | Test::Negotiates(_) => true,
    }
}

/// Whether preconditions mean anything: not for methods that select no representation (13.2.1).
fn is_conditional(visit: &Visit) -> bool {
    let method = visit.method();
    ![Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(&method)
}

/// Walks the preconditions alone: the handler that they lead to, or `None` to go on.
pub(crate) fn preconditions(visit: &Visit) -> Option<Handler> {
    let mut decision = Decision::IfMatchExists;
    loop {
        let row = decision.row();
        let super::Rule::Test(test) = row.rule else {
            return None;
        };
        let yes = precondition(visit, test);
        visit.trace(|trace| trace.add(Step::Decision(decision, Answer::of(yes))));
        let edge = if yes { row.yes } else { row.no };
        match edge.end(false) {
            Node::Handler(handler) => return Some(handler),
            Node::Decision(next) if next.row().part == Part::Preconditions => decision = next,
            _ => return None,
        }
    }
}
