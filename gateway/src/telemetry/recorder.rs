//! One thread's hand on the telemetry, and the record of one call.

use std::sync::Arc;

use sluice_protocol::CallError;
use sluice_protocol::response::Answer;
use tokio::time::Instant;

use super::function_stats::{FunctionStats, Outcome};
use super::meters::Meters;
use super::names::Series;
use crate::pipeline::Call;
use crate::registry::snapshot::Function;
use crate::reply::Reply;

/// What a shard, or any other thread, counts with.
#[derive(Debug)]
pub struct Recorder {
    thread: usize,
    /// Its numbers.
    pub meters: Arc<Meters>,
    unknown: Arc<FunctionStats>,
}

/// One call from its entry into the pipeline to its final answer. Whoever drops it before has
/// given the call up.
#[derive(Debug)]
pub struct CallRecord {
    recorder: Arc<Recorder>,
    /// Of its function, once that is known.
    stats: Option<Arc<FunctionStats>>,
    started: Instant,
    is_stream: bool,
    ended: bool,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new(0, Arc::default(), Arc::default())
    }
}

impl Recorder {
    pub(super) fn new(thread: usize, meters: Arc<Meters>, unknown: Arc<FunctionStats>) -> Self {
        Self {
            thread,
            meters,
            unknown,
        }
    }

    /// Counts one.
    pub fn inc(&self, series: Series) {
        self.meters.inc(series);
    }

    /// Begins the record of a call.
    #[must_use]
    pub fn begin(self: &Arc<Self>, _call: &mut Call) -> CallRecord {
        CallRecord {
            recorder: self.clone(),
            stats: None,
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
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.end(Outcome::failed(sluice_protocol::ErrorCode::Cancelled));
    }
}
