//! One call, from its first attempt to its final answer: retries, the deadline, the order of
//! frames. What it returns is well-formed and in order; everything else became an error.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use sluice_protocol::function::{ResponseType, Timeout};
use sluice_protocol::headers::{CallHeaders, Credit};
use sluice_protocol::payload::Payload;
use sluice_protocol::retry::{RetryMode, backoff};
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Executed, Frame, InstanceId};
use tokio::time::Instant;

use super::Context;
use super::attempt::{Attempt, OnBreak};
use super::broker::{Outgoing, PublishError};
use super::control;
use super::mailbox::Bounds;
use super::retry::{Chances, Failure, Step, next_step};
use super::select::{Selection, Target};
use crate::pipeline::Ready;
use crate::registry::snapshot::Variant;

/// Room for headers when a body is held against `max_payload`.
const HEADER_ROOM: usize = 64;
/// Frames that a call may have waiting besides stream items: accepted, beats, connection events.
const SPARE_FRAMES: usize = 16;

/// The next thing that a call has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// A worker took it.
    Accepted,
    /// A stream's item.
    Item { payload: Payload, last: bool },
    /// A stream's end.
    End,
    /// The result.
    Result(Payload),
}

pub(super) struct Exchange {
    pub(super) context: Arc<Context>,
    call: Ready,
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
    /// Items that went on to the client.
    pub(super) items: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    done: bool,
}

impl Exchange {
    pub(super) fn new(context: Arc<Context>, call: Ready) -> Self {
        let now = Instant::now();
        let deadline = now + call.time_limit();
        let retries_left = call.spec().retry.map_or(0, |r| r.attempts);
        Self {
            context,
            call_id: fresh_id(),
            attempt: None,
            attempts: 0,
            retries_left,
            elsewhere_left: call.variant().instances.len(),
            may_have_run: false,
            tried: Vec::new(),
            same_node: None,
            not_before: None,
            deadline,
            waiting_since: now,
            accepted: false,
            items: 0,
            bytes: 0,
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
                Ok(Some(progress)) => return Ok(progress),
                Ok(None) => {}
                Err(failure) => self.after(failure)?,
            }
        }
    }

    /// The client took something: the time between frames starts anew.
    pub(super) fn resume(&mut self) {
        self.waiting_since = Instant::now();
    }

    /// Ends the call because its time is up.
    pub(super) fn overdue(&mut self) -> CallError {
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

    /// Ends the call with an error of the worker's making.
    pub(super) fn protocol_error(&mut self, reason: &str) -> CallError {
        self.give_up("protocol_error");
        Failure::Protocol(reason.to_owned()).into_error(self.call.spec(), self.attempts)
    }

    async fn step(&mut self) -> Result<Option<Progress>, Failure> {
        if let Some(instant) = self.not_before {
            tokio::time::sleep_until(instant).await;
            self.not_before = None;
        }
        if self.attempt.is_none() {
            // Also handing a message over may take long, where the broker does not read.
            let deadline = self.deadline;
            tokio::time::timeout_at(deadline, self.start())
                .await
                .unwrap_or(Err(Failure::Deadline))?;
        }
        let limit = self.frame_limit();
        let on_break = self.on_break();
        let Some(attempt) = self.attempt.as_mut() else {
            return Ok(None);
        };
        let frame = tokio::select! {
            biased;
            frame = attempt.next(&self.context.link, self.call.variant(), &self.call_id, on_break) => frame?,
            () = tokio::time::sleep_until(limit) => {
                return Err(if limit >= self.deadline || self.is_stream() {
                    Failure::Deadline
                } else {
                    Failure::AttemptTimeout
                });
            }
        };
        // A stream's beat says that its worker lives, not that it goes on.
        if !(self.is_stream() && matches!(frame, Frame::Beat { .. })) {
            self.resume();
        }
        self.take(frame)
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
        } else if self.call.spec().idempotent || self.retries_left > 0 {
            OnBreak::Repeat
        } else {
            OnBreak::Wait
        }
    }

    async fn start(&mut self) -> Result<(), Failure> {
        let link = self.context.link.clone();
        if !link.broker.state().connected {
            return Err(Failure::BrokerUnavailable);
        }
        let target = self.select().await.ok_or(Failure::NoResponders)?;
        let ticket = link.inbox.open(self.bounds());
        let message = self.message(&target, ticket.subject())?;
        link.broker.publish(message).await.map_err(|e| match e {
            PublishError::NotConnected => Failure::BrokerUnavailable,
            PublishError::Refused(reason) => {
                tracing::warn!(reason, "a call could not be published");
                Failure::BrokerUnavailable
            }
        })?;
        self.attempts += 1;
        self.attempt = Some(Attempt::new(
            ticket,
            &target,
            self.variant(),
            Instant::now(),
        ));
        if let Target::Fixed(_) = target {
            self.start_fixed().await?;
        }
        Ok(())
    }

    /// A plain responder does not say that it took a call: it did if the broker, asked after the
    /// call, has not said that nobody is there.
    async fn start_fixed(&mut self) -> Result<(), Failure> {
        if matches!(
            self.call.spec().response_type,
            ResponseType::Sync | ResponseType::Stream
        ) {
            return Ok(());
        }
        if self.context.link.broker.settle().await.is_err() {
            return Err(Failure::Lost);
        }
        let Some(attempt) = &self.attempt else {
            return Ok(());
        };
        let mailbox = attempt.ticket.mailbox();
        // Whatever came already says more than that somebody took it.
        if mailbox.is_empty() {
            mailbox.push(
                Frame::Accepted {
                    instance: String::new(),
                }
                .into(),
            );
        }
        Ok(())
    }

    async fn select(&mut self) -> Option<Target> {
        if let Some(id) = &self.same_node {
            let instance = self.variant().instances.iter().find(|i| i.id == *id);
            if let Some(instance) = instance {
                return Some(Target::Instance(instance.clone()));
            }
        }
        self.selection().pick(&*self.context.sticky).await
    }

    fn selection(&self) -> Selection<'_> {
        Selection {
            function: self.call.function(),
            variant: self.call.variant(),
            request_id: self.call.request_id().as_str(),
            args: self.call.args(),
            tried: &self.tried,
            now_ms: self.context.link.clock.now_ms(),
        }
    }

    fn bounds(&self) -> Bounds {
        let options = &self.context.options;
        if self.is_stream() {
            let items = usize::try_from(options.stream_items).unwrap_or(usize::MAX);
            let bytes = usize::try_from(options.stream_bytes).unwrap_or(usize::MAX);
            // One item may overshoot the byte window.
            let largest = self.context.link.broker.max_payload();
            return Bounds {
                items: items + SPARE_FRAMES,
                bytes: bytes.saturating_add(largest),
            };
        }
        Bounds {
            items: SPARE_FRAMES,
            bytes: usize::MAX,
        }
    }

    fn message(&self, target: &Target, reply: String) -> Result<Outgoing, Failure> {
        let function = self.call.function();
        let mut headers = HeaderMap::new();
        let mut size = self.call.args().bytes.len() + HEADER_ROOM;
        self.headers().encode(|name, value| {
            size += name.len() + value.len() + 4;
            headers.insert(name, value);
        });
        let limit = self.context.link.broker.max_payload();
        if size > limit {
            return Err(Failure::Unsendable(Box::new(too_large(size, limit))));
        }
        let subject = match target {
            Target::Group => function.call_subject.clone(),
            Target::Fixed(subject) => subject.clone(),
            Target::Instance(instance) => self.context.link.subjects.instance_call(
                &function.service,
                &instance.id,
                function.version.as_ref(),
                &function.request_type,
            ),
        };
        Ok(Outgoing {
            subject,
            reply: Some(reply),
            headers,
            body: self.call.args().bytes.clone(),
        })
    }

    fn headers(&self) -> CallHeaders {
        let left = self.deadline.saturating_duration_since(Instant::now());
        CallHeaders {
            call_id: self.call_id.clone(),
            request_id: self.call.request_id().to_string(),
            identity: self.call.identity().clone(),
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            attempt: self.attempts + 1,
            traceparent: self.call.trace().map(ToOwned::to_owned),
            credit: self.is_stream().then(|| self.credit()),
            encoding: self.call.encoding(),
        }
    }

    /// What the stream may have sent by now: what the client took, plus the window.
    pub(super) fn credit(&self) -> Credit {
        let options = &self.context.options;
        Credit {
            items: self.items + options.stream_items,
            bytes: self.bytes + options.stream_bytes,
        }
    }

    /// Sends the present credit to whoever holds the stream.
    pub(super) async fn grant(&mut self) {
        if !self.is_stream() {
            return;
        }
        let holder = self.attempt.as_ref().and_then(|a| a.holder.as_ref());
        if let Some(holder) = holder.filter(|h| h.credit) {
            control::grant(&self.context.link, holder, &self.call_id, self.credit()).await;
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
                check_value(&payload)?;
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
                    Frame::Item { .. } => "a stream item",
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
        check_value(&payload)?;
        // As the worker counts them: before they become another encoding.
        let size = payload.bytes.len() as u64;
        let encoding = self.call.encoding();
        let payload =
            super::into_encoding(payload, encoding).map_err(|e| Failure::Protocol(e.message))?;
        self.accepted = true;
        self.items += 1;
        self.bytes += size;
        self.done = last;
        Ok(Progress::Item { payload, last })
    }

    /// Decides what follows a failure: `Ok` to go on with another attempt.
    fn after(&mut self, failure: Failure) -> Result<(), CallError> {
        let failure = match failure {
            // The client has seen items: it must hear that the stream broke, not that it may retry.
            Failure::Lost | Failure::Reconnected if self.started() => {
                Failure::StreamLost("the worker or the connection to it is gone".to_owned())
            }
            other => other,
        };
        // A broken connection is not the instance's fault: its keys stay with it.
        let tried = self.attempt.as_ref().and_then(Attempt::tried);
        if let Some(tried) = tried.filter(|_| failure != Failure::Reconnected) {
            self.tried.push(tried.clone());
        }
        // Time has passed; instances may have come and gone.
        self.call.refresh(&self.context.registry.snapshot());
        let chances = Chances {
            retries: self.retries_left,
            elsewhere: self.elsewhere_left > 0
                && self.selection().has_more()
                && self.knows_who_refused(&failure),
            idempotent: self.call.spec().idempotent,
            started: self.started(),
        };
        let mut step = next_step(&failure, chances);
        let wait = match step {
            Step::Retry => backoff(self.retries_used() + 1, rand::random_range(0.5..1.5)),
            Step::Elsewhere | Step::GiveUp => Duration::ZERO,
        };
        let not_before = Instant::now() + wait;
        if not_before >= self.deadline {
            // No time is left for another attempt.
            step = Step::GiveUp;
        }
        tracing::debug!(
            ?failure,
            ?step,
            call = self.call_id,
            attempts = self.attempts,
            "attempt failed"
        );
        if step == Step::GiveUp {
            let ended = matches!(
                failure,
                Failure::NoResponders | Failure::Worker(_) | Failure::Overloaded(_) | Failure::Lost
            );
            if ended {
                self.done = true;
            }
            self.give_up("failed");
            let mut error = failure.into_error(self.call.spec(), self.attempts);
            if self.may_have_run && error.executed == Executed::No {
                error.executed = Executed::Unknown;
                error.can_retry &= self.call.spec().idempotent;
                error.message += "; an earlier attempt may have run";
            }
            return Err(error);
        }
        self.may_have_run |= match &failure {
            Failure::AttemptTimeout | Failure::Lost | Failure::Reconnected => true,
            Failure::Worker(error) | Failure::Overloaded(error) => error.executed != Executed::No,
            _ => false,
        };
        self.not_before = Some(not_before);
        self.prepare(step, &failure);
        Ok(())
    }

    fn retries_used(&self) -> u32 {
        let retry = self.call.spec().retry;
        retry.map_or(0, |r| r.attempts - self.retries_left)
    }

    /// After a refusal by the queue group nobody in particular has been tried; only workers that
    /// say who they are can be passed over.
    fn knows_who_refused(&self, failure: &Failure) -> bool {
        match failure {
            // The whole group is away, whatever the registry still believes.
            Failure::NoResponders => !self.tried.is_empty(),
            _ => true,
        }
    }

    fn prepare(&mut self, step: Step, failure: &Failure) {
        let last = self.attempt.take();
        if step == Step::Elsewhere {
            self.elsewhere_left -= 1;
            self.same_node = None;
        }
        if step == Step::Retry {
            self.elsewhere_left = self.variant().instances.len();
            self.retries_left -= 1;
            let retry = self.call.spec().retry;
            if retry.is_some_and(|r| r.mode == RetryMode::SameNode) {
                self.same_node = last.as_ref().and_then(|a| a.tried().cloned());
            }
            if !self.selection().has_more() {
                // Everybody had a turn: begin again.
                self.tried.clear();
            }
        }
        // Whoever may still work on it shall stop.
        if let (Some(attempt), Failure::AttemptTimeout | Failure::Reconnected | Failure::Lost) =
            (last, failure)
        {
            self.cancel(attempt, "superseded");
        }
        // A cancel hits all that has its call's id: it must not hit the next attempt.
        self.call_id = fresh_id();
    }

    /// Ends the call; a worker that may still be at it is told.
    pub(super) fn give_up(&mut self, reason: &'static str) {
        if let Some(attempt) = self.attempt.take()
            && !std::mem::replace(&mut self.done, true)
        {
            self.cancel(attempt, reason);
        }
        self.done = true;
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

/// A worker's value is spliced into the envelope: what is no value would break the client's frame.
fn check_value(payload: &Payload) -> Result<(), Failure> {
    payload
        .check()
        .map_err(|e| Failure::Protocol(format!("its result is {e}")))
}

fn fresh_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn too_large(size: usize, limit: usize) -> CallError {
    CallError::new(
        ErrorCode::PayloadTooLarge,
        format!("the args with their headers are {size} bytes, the broker takes {limit}"),
    )
    .with_detail("size", size)
    .with_detail("limit", limit)
}

/// The time that a function's timeout stands for.
pub(crate) fn timeout_of(timeout: Timeout, max: Duration) -> Duration {
    match timeout {
        Timeout::Millis(ms) => Duration::from_millis(ms).min(max),
        Timeout::Infinity => max,
    }
}
