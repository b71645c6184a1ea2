//! What a socket counts.

use std::sync::Arc;

use sluice_protocol::ErrorCode;
use sluice_telemetry::Span;

use crate::telemetry::Recorder;
use crate::telemetry::meters::EdgeKind;
use crate::telemetry::names::Series;
use crate::telemetry::spans;

/// A socket's hand on the counters; it counts as open for as long as this lives.
#[derive(Debug)]
pub(super) struct Traffic(Option<Arc<Recorder>>, Option<Span>);

impl Traffic {
    pub(super) fn of(recorder: Option<Arc<Recorder>>) -> Self {
        if let Some(recorder) = &recorder {
            recorder.inc(Series::SocketsOpened);
            recorder.inc(Series::SocketsOpen);
        }
        let span = recorder
            .as_ref()
            .and_then(|r| r.span(spans::EDGE_SOCKET.name, &mut None));
        Self(recorder, span)
    }

    /// The socket ends, and why.
    pub(super) fn ended(&mut self, why: &'static str) {
        if let Some(span) = &mut self.1 {
            span.set("outcome", why);
        }
    }

    /// A message came in.
    pub(super) fn received(&self, bytes: usize) {
        if let Some(recorder) = &self.0 {
            recorder.inc(Series::FramesIn);
            recorder.meters.add(Series::BytesIn, bytes as u64);
        }
    }

    /// Messages went out.
    pub(super) fn sent(&self, frames: u64, bytes: u64) {
        if let Some(recorder) = self.0.as_ref().filter(|_| frames > 0) {
            recorder.meters.add(Series::FramesOut, frames);
            recorder.meters.add(Series::BytesOut, bytes);
        }
    }

    /// A call was pushed.
    pub(super) fn called(&self) {
        if let Some(recorder) = &self.0 {
            recorder.inc(Series::SocketRequests);
        }
    }

    /// It did not become one.
    pub(super) fn refused(&self, code: ErrorCode) {
        if let Some(recorder) = &self.0 {
            recorder.meters.refused(EdgeKind::Socket, code);
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if let Some(recorder) = &self.0 {
            recorder.meters.dec(Series::SocketsOpen);
        }
    }
}
