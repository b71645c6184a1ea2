//! Declaring pipelines, and checking them.

use std::collections::HashMap;

use http::Method;
use http::header::HeaderValue;

use super::super::builder::check_types;
use super::super::facts::{Facts, Validators};
use super::super::{
    BuildError, ETag, HttpDate, IntoSource, Outcome, Reply, Resource, Source, TraceTo,
};
use super::{Built, Filter, MethodRule, Negotiate, PipelineStep, Pipelines, START, SendEntity};

/// One pipeline of a resource in pipeline style.
///
/// ```
/// use sluice_worker::resource::{ETag, Filter, Negotiate, Pipeline, Resource, SendEntity, with};
///
/// let resource = Resource::pipeline(
///     Pipeline::new()
///         .filter(Filter::Authorized, with(|v| v.headers().contains_key("authorization")))
///         .negotiate(Negotiate::new().media_types(["text/plain"]))
///         .etag(ETag::strong("v1"))
///         .entity(with(|v| format!("this is {}", v.path())))
///         .get()
///         .put(with(|v| v.put(v.body().clone())), SendEntity::No),
/// )
/// .build()?;
/// # Ok::<(), sluice_worker::resource::BuildError>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Pipeline {
    steps: Vec<PipelineStep>,
    validators: Validators,
    entity: Option<(String, Source<Reply>)>,
    methods: HashMap<Method, MethodRule>,
    decant: Option<Source<Option<String>>>,
    challenge: Option<String>,
    twice: Option<String>,
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a function here. If it responds, that is the answer. The name is for traces.
    pub fn plug(mut self, name: impl Into<String>, by: impl IntoSource<Outcome>) -> Self {
        self.steps
            .push(PipelineStep::Plug(name.into(), by.into_source()));
        self
    }

    /// Negotiates here; answers 406 if nothing is acceptable.
    pub fn negotiate(mut self, negotiate: Negotiate) -> Self {
        self.steps.push(PipelineStep::Negotiate(negotiate.0));
        self
    }

    /// Asks here; its handler answers unless it passes.
    pub fn filter(mut self, filter: Filter, by: impl IntoSource<bool>) -> Self {
        let same = |step: &PipelineStep| matches!(step, PipelineStep::Filter(f, _) if *f == filter);
        if self.steps.iter().any(same) {
            self.twice.get_or_insert_with(|| filter.name().to_owned());
        }
        self.steps
            .push(PipelineStep::Filter(filter, by.into_source()));
        self
    }

    /// The entity tag of the current state.
    pub fn etag(mut self, tag: impl IntoSource<Option<ETag>>) -> Self {
        let before = self.validators.etag.replace(tag.into_source());
        self.note_twice(before.is_some(), "etag");
        self
    }

    /// When the resource was last modified.
    pub fn last_modified(mut self, date: impl IntoSource<Option<HttpDate>>) -> Self {
        let before = self.validators.last_modified.replace(date.into_source());
        self.note_twice(before.is_some(), "last_modified");
        self
    }

    /// What a 200 carries.
    pub fn entity(mut self, by: impl IntoSource<Reply>) -> Self {
        let before = self.entity.replace(("entity".to_owned(), by.into_source()));
        self.note_twice(before.is_some(), "entity");
        self
    }

    /// Serves GET and HEAD with the entity.
    pub fn get(self) -> Self {
        self.method(Method::GET, None, SendEntity::Yes)
    }

    /// Serves POST.
    pub fn post(self, by: impl IntoSource<Outcome>, send: SendEntity) -> Self {
        self.method(Method::POST, Some(by.into_source()), send)
    }

    /// Serves PUT.
    pub fn put(self, by: impl IntoSource<Outcome>, send: SendEntity) -> Self {
        self.method(Method::PUT, Some(by.into_source()), send)
    }

    /// Serves PATCH.
    pub fn patch(self, by: impl IntoSource<Outcome>, send: SendEntity) -> Self {
        self.method(Method::PATCH, Some(by.into_source()), send)
    }

    /// Serves DELETE, with 204.
    pub fn delete(self, by: impl IntoSource<Outcome>) -> Self {
        self.method(Method::DELETE, Some(by.into_source()), SendEntity::No)
    }

    fn method(
        mut self,
        method: Method,
        action: Option<Source<Outcome>>,
        send_entity: SendEntity,
    ) -> Self {
        let rule = MethodRule {
            action,
            send_entity,
        };
        let before = self.methods.insert(method.clone(), rule);
        self.note_twice(before.is_some(), method.as_str());
        self
    }

    /// Goes on with the pipeline of this name, after the filters, in place of serving methods.
    pub fn decant(mut self, name: impl IntoSource<Option<String>>) -> Self {
        let before = self.decant.replace(name.into_source());
        self.note_twice(before.is_some(), "decant");
        self
    }

    /// The `WWW-Authenticate` of a 401.
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    fn note_twice(&mut self, twice: bool, what: &str) {
        if twice {
            self.twice.get_or_insert_with(|| what.to_owned());
        }
    }

    fn build(self, name: &str) -> Result<Built, BuildError> {
        let pipeline = || name.to_owned();
        if let Some(what) = self.twice {
            return Err(BuildError::Twice {
                pipeline: pipeline(),
                what,
            });
        }
        if self.methods.is_empty() && self.decant.is_none() {
            return Err(BuildError::NoMethods(pipeline()));
        }
        for step in &self.steps {
            if let PipelineStep::Negotiate(alternatives) = step
                && let Some(types) = alternatives.media_types.as_ref()
            {
                check_types(types.constant().map_or(&[], Vec::as_slice))?;
            }
        }
        let sends = |rule: &MethodRule| !matches!(rule.send_entity, SendEntity::No);
        let without = self.methods.iter().find(|(_, rule)| sends(rule));
        if let (None, Some((method, _))) = (&self.entity, without) {
            return Err(BuildError::NoEntity {
                pipeline: pipeline(),
                method: method.clone(),
            });
        }
        let challenge = self.challenge.as_deref().map(HeaderValue::from_str);
        let challenge = challenge.transpose().map_err(|_| BuildError::Challenge)?;
        Ok(Built {
            facts: Facts {
                allowed_methods: allowed(&self.methods),
                patch_types: Vec::new(),
                challenge,
            },
            steps: self.steps,
            validators: self.validators,
            entity: self.entity,
            methods: self.methods,
            decant: self.decant,
        })
    }
}

fn allowed(methods: &HashMap<Method, MethodRule>) -> Vec<Method> {
    let served = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let mut allowed: Vec<_> = served
        .into_iter()
        .filter(|method| methods.contains_key(method))
        .collect();
    if methods.contains_key(&Method::GET) {
        allowed.insert(1, Method::HEAD);
    }
    allowed.push(Method::OPTIONS);
    allowed
}

/// Builds a [`Resource`] in pipeline style.
#[derive(Debug)]
#[must_use]
pub struct PipelineBuilder {
    pipelines: Vec<(String, Pipeline)>,
    trace_to: TraceTo,
}

impl PipelineBuilder {
    pub(crate) fn new(start: Pipeline) -> Self {
        Self {
            pipelines: vec![(START.to_owned(), start)],
            trace_to: TraceTo::Nothing,
        }
    }

    /// Adds a pipeline that another one can [`decant`](Pipeline::decant) to.
    pub fn branch(mut self, name: impl Into<String>, pipeline: Pipeline) -> Self {
        self.pipelines.push((name.into(), pipeline));
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
        let mut all = HashMap::new();
        for (name, pipeline) in self.pipelines {
            let built = pipeline.build(&name)?;
            if all.insert(name.clone(), built).is_some() {
                return Err(BuildError::SameName(name));
            }
        }
        Ok(Resource::from_pipelines(Pipelines { all }, self.trace_to))
    }
}
