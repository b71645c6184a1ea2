//! One thread's hand on the telemetry, and the record of one call.

use std::sync::Arc;

use sluice_protocol::CallError;
use sluice_protocol::response::Answer;
use sluice_protocol::trace::TraceContext;
use sluice_telemetry::Span;
use tokio::time::Instant;

use super::Sources;
use super::details::Details;
use super::function_stats::{FunctionStats, Outcome};
use super::meters::Meters;
use super::names::Series;
use super::sampling::Tracing;
use super::spans;
use crate::pipeline::Call;
use crate::registry::snapshot::Function;
use crate::reply::Reply;

/// What a shard, or any other thread, counts with.
#[derive(Debug, Default)]
pub struct Recorder {
    thread: usize,
    /// Its numbers.
    pub meters: Arc<Meters>,
    unknown: Arc<FunctionStats>,
    tracing: Option<Arc<Tracing>>,
    access_log: bool,
}

/// One call from its entry into the pipeline to its final answer. Whoever drops it before has
/// given the call up.
#[derive(Debug)]
pub struct CallRecord {
    recorder: Arc<Recorder>,
    /// Of its function, once that is known.
    stats: Option<Arc<FunctionStats>>,
    details: Option<Box<Details>>,
    started: Instant,
    is_stream: bool,
    ended: bool,
}

impl Recorder {
    pub(super) fn new(
        thread: usize,
        meters: Arc<Meters>,
        unknown: Arc<FunctionStats>,
        sources: &Sources,
    ) -> Self {
        Self {
            thread,
            meters,
            unknown,
            tracing: sources.tracing.clone(),
            access_log: sources.access_log,
        }
    }

    /// Begins the span of something else than a call, as [`Tracing::begin`].
    pub fn span(&self, name: &'static str, trace: &mut Option<TraceContext>) -> Option<Span> {
        self.tracing.as_ref()?.begin(name, trace)
    }

    /// Begins a span within a trace, as [`Tracing::follow`].
    pub fn follow(&self, name: &'static str, parent: Option<&TraceContext>) -> Option<Span> {
        self.tracing.as_ref()?.follow(name, parent)
    }

    /// Counts one.
    pub fn inc(&self, series: Series) {
        self.meters.inc(series);
    }

    /// Begins the record of a call.
    #[must_use]
    pub fn begin(self: &Arc<Self>, call: &mut Call) -> CallRecord {
        let span = self.span(spans::PIPELINE_CALL.name, &mut call.trace);
        CallRecord {
            recorder: self.clone(),
            stats: None,
            details: Details::of(call, self.access_log, span),
            started: Instant::now(),
            is_stream: false,
            ended: false,
        }
    }
}

impl CallRecord {
    /// Its function is known; `callable` or not.
    pub(crate) fn resolved(&mut self, function: &Function) {
        function.stats.began(self.recorder.thread);
        self.stats = Some(function.stats.clone());
        if let Some(details) = &mut self.details {
            details.resolved(function);
        }
    }

    /// When it began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// It passed a stage.
    pub(crate) fn passed(&mut self, stage: &'static str) {
        if let Some(details) = &mut self.details {
            details.event(stage);
        }
    }

    /// Takes the pipeline's outcome: the end of the call, or the beginning of what follows.
    pub(crate) fn finish(mut self, outcome: Result<Reply, CallError>) -> Result<Reply, CallError> {
        match outcome {
            Ok(reply @ (Reply::Accepted | Reply::Result(_))) => {
                self.end(Outcome::OK);
                Ok(reply)
            }
            Ok(Reply::Async(answers)) => Ok(Reply::Async(answers.recorded(self))),
            Ok(Reply::Stream(answers)) => {
                self.is_stream = true;
                self.recorder.inc(Series::StreamsOpen);
                Ok(Reply::Stream(answers.recorded(self)))
            }
            Err(error) => {
                self.end(Outcome::failed(error.code));
                Err(error)
            }
        }
    }

    /// One of the answers that follow goes to the edge.
    pub(crate) fn answer(&mut self, answer: &Answer) {
        if let (Answer::Item { .. }, Some(stats)) = (answer, &self.stats) {
            stats.item(self.recorder.thread);
        }
        if answer.is_final() {
            self.end(match answer {
                Answer::Error(error) => Outcome::failed(error.code),
                _ => Outcome::OK,
            });
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.is_stream {
            self.recorder.meters.dec(Series::StreamsOpen);
        }
        let thread = self.recorder.thread;
        let took = self.started.elapsed();
        match &self.stats {
            Some(stats) => stats.ended(thread, outcome, took),
            None => {
                self.recorder.unknown.began(thread);
                self.recorder.unknown.ended(thread, outcome, took);
            }
        }
        if let Some(details) = self.details.take() {
            details.end(outcome, took);
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.end(Outcome::failed(sluice_protocol::ErrorCode::Cancelled));
    }
}
