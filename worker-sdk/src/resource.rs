//! HTTP resources: a decision graph that answers as RFC 9110 asks, with your parts in it.
//!
//! A [`Resource`] takes a [`ResourceRequest`] and gives a [`ResourceResponse`]. Its way there is a
//! fixed graph of decisions ([`TABLE`], drawn in `docs/resource-graph.svg`): is the service
//! available, who asks, what does the client accept, does the resource exist, do the preconditions
//! hold … Each has a sensible default; you say what differs:
//!
//! ```
//! use sluice_worker::resource::{Decision, ETag, Reply, Resource, Visit, with, with_async};
//!
//! struct Note { version: u64, text: String }
//!
//! async fn load(visit: Visit) -> bool {
//!     visit.put(Note { version: 7, text: "milk".to_owned() }); // from a database, say
//!     visit.path() == "/notes/1"
//! }
//!
//! let resource = Resource::graph()
//!     .media_types(["application/json"])
//!     .decide(Decision::Authorized, with(|v| v.headers().contains_key("authorization")))
//!     .decide(Decision::Exists, with_async(load))
//!     .etag(with(|v| v.get::<Note>().map(|n| ETag::strong(n.version.to_string()))))
//!     .get(with(|v| v.get::<Note>().map_or(Ok(Reply::new()), |n| Reply::json(&n.text))))
//!     .build()?;
//! # Ok::<(), sluice_worker::resource::BuildError>(())
//! ```
//!
//! That is all of content negotiation, `Vary`, 304, 401, 404, 405, 406, HEAD and OPTIONS.
//!
//! | to | see |
//! |---|---|
//! | answer decisions, implement methods, declare representations | [`GraphBuilder`] |
//! | list filters and methods in the order in which they run instead | [`PipelineBuilder`] |
//! | pass values between decisions, know what was negotiated | [`Visit`] |
//! | delegate a decision | [`Verdict`], [`Node`] |
//! | see what a request decided | [`Resource::trace`], [`TraceTo`] |
//! | draw the graph | [`graph`] |
//! | serve one at a path | [`Function::resource`](crate::Function::resource) |
//!
//! `docs/resources.md` is the guide. Nothing but `serve` here knows how requests travel.

mod body;
mod builder;
mod date;
mod error;
mod etag;
mod facts;
pub mod graph;
mod message;
pub mod negotiate;
mod nodes;
mod pipeline;
mod plan;
mod reply;
mod respond;
pub(crate) mod serve;
mod source;
mod table;
mod trace;
mod visit;
mod walk;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::http::HeaderValue;
use ::http::header::HeaderName;
use futures_util::FutureExt;

pub use body::BodyStream;
pub use builder::GraphBuilder;
pub use date::{HttpDate, NotADate};
pub use error::BuildError;
pub use etag::{Comparison, ETag};
pub use message::{ResourceRequest, ResourceResponse};
pub use negotiate::Languages;
pub use nodes::{Action, Edge, Handler, Node};
pub use pipeline::{Filter, Negotiate, Pipeline, PipelineBuilder, SendEntity};
pub use reply::{Outcome, Reply, Verdict};
pub use source::{Give, IntoSource, Source, With, WithAsync, with, with_async};
pub use table::{Decision, ENTRY, ON_ERROR, Part, Row, Rule, TABLE, Test};
pub use trace::{Answer, MOST_HEADER_BYTES, NoTrace, Step, TRACE_HEADER, Trace};
pub use visit::Visit;

pub use ::http;

use crate::Error;

#[cfg(doctest)]
#[doc = include_str!("../../docs/resources.md")]
struct Guide;

/// Where the decisions of each visit are told.
///
/// A trace has names and answers only, nothing of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceTo {
    /// Nowhere; no trace is kept.
    #[default]
    Nothing,
    /// In the header [`TRACE_HEADER`] of each response.
    Header,
}

/// Serves one HTTP path, in graph style or in pipeline style.
///
/// A clone is the same resource.
#[derive(Clone, Debug)]
pub struct Resource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    trace_to: TraceTo,
}

#[derive(Debug)]
enum Kind {
    Graph(Box<walk::Graph>),
    Pipeline(Box<pipeline::Pipelines>),
}

impl Resource {
    /// Builds a resource in graph style: answers to named decisions.
    pub fn graph() -> GraphBuilder {
        GraphBuilder::new()
    }

    /// Builds a resource in pipeline style: filters and methods in the order in which they run.
    ///
    /// Every visit begins in `start`.
    pub fn pipeline(start: Pipeline) -> PipelineBuilder {
        PipelineBuilder::new(start)
    }

    fn from_graph(graph: walk::Graph, trace_to: TraceTo) -> Self {
        let kind = Kind::Graph(Box::new(graph));
        Self(Arc::new(Inner { kind, trace_to }))
    }

    fn from_pipelines(pipelines: pipeline::Pipelines, trace_to: TraceTo) -> Self {
        let kind = Kind::Pipeline(Box::new(pipelines));
        Self(Arc::new(Inner { kind, trace_to }))
    }

    /// Answers a request.
    ///
    /// An error or a panic in a function of the resource becomes a 500 by [`Handler::Exception`],
    /// which tells the client nothing of it; it is logged.
    pub async fn handle(&self, request: ResourceRequest) -> ResourceResponse {
        let traced = self.0.trace_to == TraceTo::Header;
        let (mut response, trace) = self.run(request, traced).await;
        if let Some(trace) = trace
            && let Ok(value) = HeaderValue::from_str(&trace.to_header())
        {
            let name = HeaderName::from_static(TRACE_HEADER);
            response.headers.insert(name, value);
        }
        response
    }

    /// Answers a request, and tells the decisions that it took.
    pub async fn trace(&self, request: ResourceRequest) -> (ResourceResponse, Trace) {
        let (response, trace) = self.run(request, true).await;
        (response, trace.unwrap_or_default())
    }

    async fn run(
        &self,
        request: ResourceRequest,
        traced: bool,
    ) -> (ResourceResponse, Option<Trace>) {
        let visit = Visit::new(request, traced);
        let response = match caught(self.0.kind.visit(&visit)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%error, ?visit, "a resource failed");
                visit.state(|state| state.error = Some(Arc::new(error)));
                match caught(self.0.kind.exception(&visit)).await {
                    Ok(response) => response,
                    Err(error) => {
                        tracing::warn!(%error, ?visit, "the exception handler failed too");
                        let facts = facts::Facts::default();
                        respond::respond(&visit, Handler::Exception, Reply::new(), &facts, None)
                    }
                }
            }
        };
        let trace = visit.state(|state| state.trace.take());
        (response, trace)
    }
}

impl Kind {
    async fn visit(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        match self {
            Self::Graph(graph) => graph.walk(visit).await,
            Self::Pipeline(pipelines) => pipelines.run(visit).await,
        }
    }

    async fn exception(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        match self {
            Self::Graph(graph) => graph.exception(visit).await,
            Self::Pipeline(pipelines) => pipelines.exception(visit).await,
        }
    }
}

/// A panic as an error.
async fn caught<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(Error::new("panic", "a function of the resource panicked")),
    }
}
