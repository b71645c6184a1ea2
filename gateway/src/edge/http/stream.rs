//! Streams of envelopes: server-sent events or one a line, at the pace of the client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use sluice_protocol::response::{Answer, Response as Envelope};
use sluice_protocol::{Encoding, RequestId};
use tokio::time::{Instant, Sleep, sleep_until};

use super::negotiate::StreamFormat;
use super::response::{self, Body, unsayable};
use crate::edge::capacity::Permit;
use crate::reply::Answers;

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// nginx would hold events back otherwise.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers that are ready are written together up to about so many bytes.
const BATCH_BYTES: usize = 16 << 10;

/// Where a stream's answers come from. Dropping it gives them up.
pub(super) enum Source {
    /// A call.
    Call {
        answers: Answers,
        /// The call counts as in flight until its last answer.
        _permit: Permit,
    },
    /// The result of an async call, when it comes.
    Result(BoxFuture<'static, Answer>),
    /// Nothing more.
    Ended,
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        match self {
            Self::Call { answers, .. } => answers.poll_next(cx),
            Self::Result(result) => result.as_mut().poll(cx).map(Some),
            Self::Ended => Poll::Ready(None),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call { .. } => "Call",
            Self::Result(_) => "Result",
            Self::Ended => "Ended",
        })
    }
}

/// A body that asks for answers only when the connection has room for them.
#[derive(Debug)]
pub(super) struct StreamBody {
    format: StreamFormat,
    request_id: RequestId,
    /// Told before the first of `source`.
    ack: Option<Answer>,
    source: Source,
    /// The number of the next event.
    sequence: u64,
    quiet: Option<Quiet>,
}

impl StreamBody {
    /// A stream that begins with `ack`, if there is one. Event streams get a comment whenever
    /// nothing was written for `keep_alive`.
    pub(super) fn new(
        format: StreamFormat,
        request_id: RequestId,
        ack: Option<Answer>,
        source: Source,
        keep_alive: Duration,
    ) -> Self {
        Self {
            format,
            request_id,
            // The ack is event 0, so that the number of an item is its event's.
            sequence: u64::from(ack.is_none()),
            ack,
            source,
            quiet: (format == StreamFormat::Events).then(|| Quiet::new(keep_alive)),
        }
    }

    /// The response that has this body.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = response::empty(StatusCode::OK);
        response::echo(&mut response, &self.request_id);
        let headers = response.headers_mut();
        match self.format {
            StreamFormat::Events => {
                headers.insert(CONTENT_TYPE, EVENTS);
                headers.insert(ACCEL, HeaderValue::from_static("no"));
            }
            StreamFormat::Lines => {
                headers.insert(CONTENT_TYPE, LINES);
            }
        }
        *response.body_mut() = Body::stream(self);
        response
    }

    /// What can be written now.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        if let Some(ack) = self.ack.take() {
            self.write(&ack, &mut out);
        }
        let mut ended = false;
        while !ended && out.len() < BATCH_BYTES {
            match self.source.poll_next(cx) {
                Poll::Ready(Some(answer)) => self.write(&answer, &mut out),
                Poll::Ready(None) => ended = true,
                Poll::Pending => break,
            }
        }
        if !out.is_empty() {
            if let Some(quiet) = &mut self.quiet {
                quiet.interrupt();
            }
            return Poll::Ready(Some(out.into()));
        }
        if ended {
            return Poll::Ready(None);
        }
        match &mut self.quiet {
            Some(quiet) => quiet.poll(cx).map(|()| Some(Bytes::from_static(b":\n\n"))),
            None => Poll::Pending,
        }
    }

    fn write(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        if answer.is_final() {
            // Gives the permit back, and would cancel a call that says more.
            self.source = Source::Ended;
        }
        let start = out.len();
        if let Err(reason) = self.write_framed(answer, out) {
            out.truncate(start);
            self.source = Source::Ended;
            let error = unsayable(&reason, Encoding::Json);
            // Errors are JSON already.
            let _ = self.write_framed(&Answer::from(error), out);
        }
        self.sequence += 1;
    }

    fn write_framed(
        &self,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> Result<(), sluice_protocol::payload::TranscodeError> {
        let envelope = Envelope {
            request_id: self.request_id.as_str(),
            answer,
        };
        out.reserve(envelope.size_hint());
        if self.format == StreamFormat::Events {
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
            out.extend_from_slice(b"\nevent: ");
            out.extend_from_slice(event_name(answer).as_bytes());
            out.extend_from_slice(b"\ndata: ");
        }
        let start = out.len();
        envelope.write_json(out)?;
        on_one_line(&mut out[start..]);
        out.extend_from_slice(match self.format {
            StreamFormat::Events => b"\n\n",
            StreamFormat::Lines => b"\n",
        });
        Ok(())
    }
}

/// Results are written as their worker wrote them, with its line ends; those would end the event.
/// Within JSON's strings they cannot stand, and between its tokens a space does as well.
fn on_one_line(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

fn event_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::AsyncAck | Answer::StreamAck => "ack",
        Answer::Item { .. } => "item",
        Answer::Result(_) => "result",
        Answer::StreamEnd => "end",
        Answer::Error(_) => "error",
    }
}

/// Notices when nothing was written for a while.
#[derive(Debug)]
struct Quiet {
    interval: Duration,
    since: Instant,
    // One timer a stream; it is set anew when it fires, not with each event.
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    fn new(interval: Duration) -> Self {
        let since = Instant::now();
        Self {
            interval,
            since,
            timer: Box::pin(sleep_until(since + interval)),
        }
    }

    fn interrupt(&mut self) {
        self.since = Instant::now();
    }

    /// Ready once for each interval of silence.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.since + self.interval;
            if due <= Instant::now() {
                self.interrupt();
                self.timer.as_mut().reset(self.since + self.interval);
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}
