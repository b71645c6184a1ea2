//! Building a resource in graph style.

use std::collections::{HashMap, HashSet};

use http::Method;
use http::header::HeaderValue;

use super::facts::{Alternatives, Facts, Validators};
use super::negotiate::{Languages, MediaType};
use super::plan::Plan;
use super::walk::Graph;
use super::{
    Action, BuildError, Decision, ENTRY, ETag, Handler, HttpDate, IntoSource, Node, Outcome, Reply,
    Resource, Source, TraceTo, Verdict,
};

/// Builds a [`Resource`] in graph style.
///
/// What is not said stays as the graph has it. Whatever takes an [`IntoSource`] takes a constant,
/// [`with(f)`](super::with) or [`with_async(f)`](super::with_async).
#[derive(Debug)]
#[must_use]
pub struct GraphBuilder {
    entry: Node,
    decisions: HashMap<Decision, Source<Verdict>>,
    actions: HashMap<Action, Source<Outcome>>,
    handlers: HashMap<Handler, Source<Reply>>,
    known_methods: Vec<Method>,
    allowed_methods: Option<Vec<Method>>,
    patch_types: Vec<String>,
    challenge: Option<String>,
    alternatives: Alternatives,
    validators: Validators,
    location: Option<Source<Option<String>>>,
    trace_to: TraceTo,
}

impl GraphBuilder {
    pub(crate) fn new() -> Self {
        let constant = |text: &str| Some(Source::Constant(vec![text.to_owned()]));
        Self {
            entry: ENTRY,
            decisions: HashMap::new(),
            actions: HashMap::new(),
            handlers: HashMap::new(),
            known_methods: known_methods(),
            allowed_methods: None,
            patch_types: Vec::new(),
            challenge: None,
            alternatives: Alternatives {
                media_types: constant("text/html"),
                languages: Some(["*"].into_source()),
                charsets: constant("utf-8"),
                encodings: constant("identity"),
                lenient_language: false,
            },
            validators: Validators::default(),
            location: None,
            trace_to: TraceTo::Nothing,
        }
    }

    /// Answers a decision: with a bool, the node to go to, or a response of its own.
    pub fn decide(mut self, decision: Decision, by: impl IntoSource<Verdict>) -> Self {
        self.decisions.insert(decision, by.into_source());
        self
    }

    /// Implements an action, which also allows its method.
    pub fn action(mut self, action: Action, by: impl IntoSource<Outcome>) -> Self {
        self.actions.insert(action, by.into_source());
        self
    }

    /// Answers in place of a handler.
    pub fn handle(mut self, handler: Handler, by: impl IntoSource<Reply>) -> Self {
        self.handlers.insert(handler, by.into_source());
        self
    }

    /// Answers a GET: the same as [`handle`](Self::handle) with [`Handler::Ok`].
    pub fn get(self, by: impl IntoSource<Reply>) -> Self {
        self.handle(Handler::Ok, by)
    }

    /// Implements POST.
    pub fn post(self, by: impl IntoSource<Outcome>) -> Self {
        self.action(Action::Post, by)
    }

    /// Implements PUT.
    pub fn put(self, by: impl IntoSource<Outcome>) -> Self {
        self.action(Action::Put, by)
    }

    /// Implements PATCH.
    pub fn patch(self, by: impl IntoSource<Outcome>) -> Self {
        self.action(Action::Patch, by)
    }

    /// Implements DELETE.
    pub fn delete(self, by: impl IntoSource<Outcome>) -> Self {
        self.action(Action::Delete, by)
    }

    /// Begins walks at another node than `service_available?`. What is skipped is not checked and
    /// not negotiated.
    pub fn entry(mut self, node: impl Into<Node>) -> Self {
        self.entry = node.into();
        self
    }

    /// The methods that are known; others get 501.
    pub fn known_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.known_methods = methods.into_iter().collect();
        self
    }

    /// The methods that are allowed, in place of GET, HEAD, OPTIONS and those with an action. GET
    /// adds HEAD.
    pub fn allowed_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.allowed_methods = Some(methods.into_iter().collect());
        self
    }

    /// The media types of the resource, the preferred one first. Default: `text/html`.
    pub fn media_types(mut self, types: impl IntoSource<Vec<String>>) -> Self {
        self.alternatives.media_types = Some(types.into_source());
        self
    }

    /// The languages of the resource, the preferred one first. Default: `*`, language-neutral.
    pub fn languages(mut self, languages: impl IntoSource<Vec<Languages>>) -> Self {
        self.alternatives.languages = Some(languages.into_source());
        self
    }

    /// Answers in the first language rather than with 406 if none is acceptable.
    pub fn lenient_language(mut self) -> Self {
        self.alternatives.lenient_language = true;
        self
    }

    /// The charsets of the resource, the preferred one first. Default: `utf-8`.
    pub fn charsets(mut self, charsets: impl IntoSource<Vec<String>>) -> Self {
        self.alternatives.charsets = Some(charsets.into_source());
        self
    }

    /// The content codings that the handlers can apply, the preferred one first. Default:
    /// `identity`. The handler encodes; see [`Visit::encoding`](super::Visit::encoding).
    pub fn encodings(mut self, encodings: impl IntoSource<Vec<String>>) -> Self {
        self.alternatives.encodings = Some(encodings.into_source());
        self
    }

    /// The entity tag of the current state.
    pub fn etag(mut self, tag: impl IntoSource<Option<ETag>>) -> Self {
        self.validators.etag = Some(tag.into_source());
        self
    }

    /// When the resource was last modified.
    pub fn last_modified(mut self, date: impl IntoSource<Option<HttpDate>>) -> Self {
        self.validators.last_modified = Some(date.into_source());
        self
    }

    /// The `Location` of 201, 301, 303 and 307, unless the visit has one.
    pub fn location(mut self, location: impl IntoSource<Option<String>>) -> Self {
        self.location = Some(location.into_source());
        self
    }

    /// The media types that a PATCH may have; others get 415.
    pub fn patch_types<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.patch_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The `WWW-Authenticate` of a 401, which RFC 9110 asks for: `Bearer`, say.
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// Where the decisions of each visit are told. Default: nowhere.
    pub fn trace(mut self, to: TraceTo) -> Self {
        self.trace_to = to;
        self
    }

    /// Checks and builds the resource.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn build(self) -> Result<Resource, BuildError> {
        let allowed_methods = self.methods()?;
        check_types(&self.patch_types)?;
        if let Some(types) = self.alternatives.media_types.as_ref() {
            check_types(types.constant().map_or(&[], Vec::as_slice))?;
        }
        let Validators {
            etag,
            last_modified,
        } = &self.validators;
        let plan = Plan::new(&self.decisions, etag.is_some(), last_modified.is_some())?;
        let challenge = self.challenge.as_deref().map(HeaderValue::from_str);
        let challenge = challenge.transpose().map_err(|_| BuildError::Challenge)?;
        let graph = Graph {
            entry: self.entry,
            plan,
            decisions: self.decisions,
            actions: self.actions,
            handlers: self.handlers,
            known_methods: self.known_methods,
            facts: Facts {
                allowed_methods,
                patch_types: self.patch_types,
                challenge,
            },
            alternatives: self.alternatives,
            validators: self.validators,
            location: self.location,
        };
        Ok(Resource::from_graph(graph, self.trace_to))
    }

    fn methods(&self) -> Result<Vec<Method>, BuildError> {
        let with_action = Action::ALL.iter().filter(|a| self.actions.contains_key(a));
        let mut methods = match &self.allowed_methods {
            Some(methods) => methods.clone(),
            None => [Method::GET, Method::HEAD, Method::OPTIONS]
                .into_iter()
                .chain(with_action.map(|action| action.method()))
                .collect(),
        };
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        let mut seen = HashSet::new();
        methods.retain(|method| seen.insert(method.clone()));
        // Without its action an allowed method would end in 200 and change nothing.
        for action in Action::ALL {
            if methods.contains(&action.method()) && !self.actions.contains_key(action) {
                return Err(BuildError::NoAction(*action));
            }
        }
        Ok(methods)
    }
}

pub(crate) fn check_types(types: &[String]) -> Result<(), BuildError> {
    for declared in types {
        MediaType::declared(declared)?;
    }
    Ok(())
}

fn known_methods() -> Vec<Method> {
    vec![
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::TRACE,
        Method::PATCH,
    ]
}
