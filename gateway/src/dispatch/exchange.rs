//! One call, from its first attempt to its final answer: retries, the deadline, the order of
//! frames. What it returns is well-formed and in order; everything else became an error.

mod failure;
mod outcome;
mod send;
mod told;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use sluice_protocol::function::{ResponseType, Timeout};
use sluice_protocol::payload::Payload;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Executed, Frame, InstanceId};
use tokio::time::Instant;

use super::Context;
use super::admission::Admitted;
use super::attempt::{Attempt, OnBreak};
use super::control;
use super::retry::Failure;
use crate::live::Stream;
use crate::pipeline::Ready;
use crate::registry::snapshot::Variant;
use crate::reply::Taken;
use crate::telemetry::OK;

/// The next thing that a call has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// A worker took it.
    Accepted,
    /// A stream's item, of so many bytes as its worker counts them.
    Item {
        payload: Payload,
        last: bool,
        bytes: u64,
    },
    /// A stream's end.
    End,
    /// The result.
    Result(Payload),
}

pub(super) struct Exchange {
    pub(super) context: Arc<Context>,
    call: Ready,
    /// Its place in the bulkhead and its part in the breaker, until it ends.
    admitted: Admitted,
    call_id: String,
    attempt: Option<Attempt>,
    attempts: u32,
    retries_left: u32,
    /// How often it may still go elsewhere at once: whoever names nobody, or a stranger, must not
    /// make it go round for ever.
    elsewhere_left: usize,
    /// Whether an attempt before this one may have run.
    may_have_run: bool,
    tried: Vec<InstanceId>,
    /// The instance that a retry with `same_node` goes back to.
    same_node: Option<InstanceId>,
    not_before: Option<Instant>,
    pub(super) deadline: Instant,
    waiting_since: Instant,
    accepted: bool,
    /// Items that arrived in order.
    pub(super) items: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those of them that the client took.
    pub(super) taken: Taken,
    done: bool,
}

impl Exchange {
    pub(super) fn new(context: Arc<Context>, call: Ready, admitted: Admitted) -> Self {
        let deadline = call.deadline();
        let retries_left = call.spec().retry.map_or(0, |r| r.attempts);
        Self {
            context,
            admitted,
            call_id: crate::random::text::<16>(),
            attempt: None,
            attempts: 0,
            retries_left,
            elsewhere_left: call.variant().instances.len(),
            may_have_run: false,
            tried: Vec::new(),
            same_node: None,
            not_before: None,
            deadline,
            // Hooks and queues share the time to the first frame.
            waiting_since: call.started(),
            accepted: false,
            items: 0,
            bytes: 0,
            taken: Taken::default(),
            done: false,
            call,
        }
    }

    fn is_stream(&self) -> bool {
        self.call.spec().response_type == ResponseType::Stream
    }

    fn variant(&self) -> &Variant {
        self.call.variant()
    }

    /// What comes next. Cancel-safe. After an error or a final progress the call is over.
    pub(super) async fn next(&mut self) -> Result<Progress, CallError> {
        loop {
            match self.step().await {
                Ok(Some(progress)) => {
                    self.tell_progress(&progress);
                    self.goes_well();
                    return Ok(progress);
                }
                Ok(None) => {}
                Err(failure) => self.after(failure)?,
            }
        }
    }

    /// A worker has done its part: with its first item in the case of a stream, which may go on
    /// for long and must not keep a breaker waiting.
    fn goes_well(&mut self) {
        let first_item = self.is_stream() && self.items == 1;
        if first_item || (self.done && self.items == 0) {
            self.went_well();
        }
        if self.done {
            self.admitted = Admitted::default();
            if let Some(attempt) = &mut self.attempt {
                attempt.ended(OK);
            }
        }
    }

    /// The client took something: the time between frames starts anew.
    pub(super) fn resume(&mut self) {
        self.waiting_since = Instant::now();
    }

    /// Ends the call because its time is up.
    pub(super) fn overdue(&mut self) -> CallError {
        // A stream may be as long as that.
        if !self.is_stream() {
            self.went_wrong(&Failure::Deadline, true);
        }
        self.give_up("deadline");
        Failure::Deadline.into_error(self.call.spec(), self.attempts)
    }

    /// Ends the call because its client takes nothing.
    pub(super) fn stalled(&mut self) -> CallError {
        self.give_up("client_stalled");
        let reason = "the client took nothing for too long".to_owned();
        let error = Failure::StreamLost(reason).into_error(self.call.spec(), self.attempts);
        error.with_source(ErrorSource::Client)
    }

    /// Ends the call because an operator wants it so.
    pub(super) fn closed(&mut self, reason: &str) -> CallError {
        self.give_up("closed_by_operator");
        let text = match reason {
            "" => "an operator closed the stream".to_owned(),
            reason => format!("an operator closed the stream: {reason}"),
        };
        CallError::new(ErrorCode::Cancelled, text)
            .with_source(ErrorSource::Gateway)
            .with_executed(Executed::Unknown, false)
    }

    /// As it stands on the list of what is open.
    pub(super) fn as_live(&self) -> Stream {
        let function = self.call.function();
        Stream {
            service: function.service.clone(),
            function: function.request_type.clone(),
            version: function.version.clone(),
            request_id: self.call.request_id().clone(),
            user: self.call.identity().user_id.clone(),
            items: AtomicU64::new(0),
        }
    }

    /// Ends the call with an error of the worker's making.
    pub(super) fn protocol_error(&mut self, reason: &str) -> CallError {
        let failure = Failure::Protocol(reason.to_owned());
        self.went_wrong(&failure, true);
        self.give_up("protocol_error");
        failure.into_error(self.call.spec(), self.attempts)
    }

    async fn step(&mut self) -> Result<Option<Progress>, Failure> {
        if let Some(instant) = self.not_before {
            tokio::time::sleep_until(instant).await;
            self.not_before = None;
        }
        if self.attempt.is_none() {
            self.start_in_time().await?;
        }
        let limit = self.frame_limit();
        let on_break = self.on_break();
        let Some(attempt) = self.attempt.as_mut() else {
            return Ok(None);
        };
        let (link, variant) = (&self.context.link, self.call.variant());
        let next = attempt.next(link, variant, &self.call_id, on_break, limit);
        let Some(frame) = next.await? else {
            return Err(if limit >= self.deadline || self.is_stream() {
                Failure::Deadline
            } else {
                Failure::AttemptTimeout
            });
        };
        let heard_at = attempt.heard_at;
        // A stream's beat says that its worker lives, not that it goes on.
        if !(self.is_stream() && matches!(frame, Frame::Beat { .. })) {
            self.waiting_since = heard_at;
        }
        self.take(frame)
    }

    /// Also handing a message over may take long, where the broker does not read.
    async fn start_in_time(&mut self) -> Result<(), Failure> {
        let deadline = self.deadline;
        // Boxed, so that what waits for an answer is not as large as what sends.
        let mut start = Box::pin(self.start());
        // Mostly it is done at once, and no timer is needed.
        if let Poll::Ready(started) = futures_util::poll!(start.as_mut()) {
            return started;
        }
        let started = tokio::time::timeout_at(deadline, start).await;
        started.unwrap_or(Err(Failure::Deadline))
    }

    /// When the present wait is over: the deadline, the attempt's own limit, or for streams the
    /// time between frames.
    fn frame_limit(&self) -> Instant {
        let spec = self.call.spec();
        let mut limit = self.deadline;
        if self.is_stream() {
            limit = limit.min(self.waiting_since + self.call.frame_timeout());
        } else if let (Some(ms), Some(attempt)) = (spec.attempt_timeout_ms, &self.attempt) {
            limit = limit.min(attempt.started + Duration::from_millis(ms));
        }
        limit
    }

    fn started(&self) -> bool {
        self.items > 0
    }

    fn on_break(&self) -> OnBreak {
        if self.is_stream() && self.accepted {
            OnBreak::Fail
        } else if self.call.is_idempotent() || self.retries_left > 0 {
            OnBreak::Repeat
        } else {
            OnBreak::Wait
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Progress>, Failure> {
        match (self.call.spec().response_type, frame) {
            (_, Frame::Beat { seq, .. }) => match seq > self.items {
                true => Err(Failure::StreamLost(format!(
                    "{} items are missing",
                    seq - self.items
                ))),
                false => Ok(None),
            },
            (ResponseType::Sync, Frame::Accepted { .. }) => Ok(None),
            (_, Frame::Accepted { .. }) => {
                // A retry is taken again; the client has been told once.
                let first = !std::mem::replace(&mut self.accepted, true);
                self.done |= self.call.spec().response_type == ResponseType::None;
                Ok(first.then_some(Progress::Accepted))
            }
            (ResponseType::Sync | ResponseType::Async, Frame::Result(payload)) => {
                self.done = true;
                self.check_value(&payload)?;
                Ok(Some(Progress::Result(payload)))
            }
            // A worker that is done at once may answer without having said that it accepted.
            (ResponseType::None, Frame::Result(_)) => {
                self.done = true;
                Ok(Some(Progress::Accepted))
            }
            (ResponseType::Stream, Frame::Item { seq, payload, last }) => {
                self.take_item(seq, payload, last).map(Some)
            }
            (ResponseType::Stream, Frame::End { count }) if count == self.items => {
                self.done = true;
                Ok(Some(Progress::End))
            }
            (ResponseType::Stream, Frame::End { count }) => Err(Failure::StreamLost(format!(
                "it ended after {count} items, of which {} arrived",
                self.items
            ))),
            (kind, frame) => Err(Failure::Protocol(format!(
                "a {kind:?} function sent {}",
                match frame {
                    Frame::Result(_) => "a result",
                    Frame::Item { .. } | Frame::Items { .. } => "a stream item",
                    Frame::End { .. } => "a stream's end",
                    _ => "an unexpected frame",
                }
            ))),
        }
    }

    fn take_item(&mut self, seq: u64, payload: Payload, last: bool) -> Result<Progress, Failure> {
        if seq != self.items + 1 {
            let expected = self.items + 1;
            return Err(Failure::StreamLost(format!(
                "item {expected} is missing, got item {seq}"
            )));
        }
        self.check_value(&payload)?;
        // As the worker counts them: before they become another encoding.
        let size = payload.bytes.len() as u64;
        let encoding = self.call.encoding();
        let payload =
            super::into_encoding(payload, encoding).map_err(|e| Failure::Protocol(e.message))?;
        self.accepted = true;
        self.items += 1;
        self.bytes += size;
        self.done = last;
        Ok(Progress::Item {
            payload,
            last,
            bytes: size,
        })
    }

    /// A worker's value is spliced into the envelope: what is no value would break the client's
    /// frame. A resource's answer has a head instead, which the edge reads.
    fn check_value(&self, payload: &Payload) -> Result<(), Failure> {
        if self.call.http().is_some() {
            let message = payload.split_http().is_some();
            let fault = || Failure::Protocol("its answer is no HTTP response".to_owned());
            return message.then_some(()).ok_or_else(fault);
        }
        payload
            .check()
            .map_err(|e| Failure::Protocol(format!("its result is {e}")))
    }

    /// Ends the call; a worker that may still be at it is told.
    pub(super) fn give_up(&mut self, reason: &'static str) {
        if let Some(attempt) = &mut self.attempt {
            attempt.ended(reason);
        }
        if let Some(attempt) = self.attempt.take()
            && !std::mem::replace(&mut self.done, true)
        {
            self.cancel(attempt, reason);
        }
        self.done = true;
        self.admitted = Admitted::default();
    }

    fn cancel(&self, attempt: Attempt, reason: &'static str) {
        let Attempt { ticket, holder, .. } = attempt;
        let service = self.call.function().service.clone();
        let call_id = self.call_id.clone();
        control::cancel(
            self.context.link.clone(),
            ticket,
            holder,
            service,
            call_id,
            reason,
        );
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // The edge dropped the call: its client is gone.
        self.give_up("client_gone");
    }
}

impl From<Frame> for super::mailbox::Delivery {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

/// The time that a function's timeout stands for.
pub(crate) fn timeout_of(timeout: Timeout, max: Duration) -> Duration {
    match timeout {
        Timeout::Millis(ms) => Duration::from_millis(ms).min(max),
        Timeout::Infinity => max,
    }
}
