//! How an attempt goes out: to whom, with what, and how much a stream may send.

use std::borrow::Cow;

use bytes::Bytes;
use sluice_protocol::function::ResponseType;
use sluice_protocol::headers::{self as h, BorrowedCallHeaders, Credit, encode_pending};
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode, Frame};
use tokio::time::Instant;

use super::Exchange;
use crate::dispatch::attempt::Attempt;
use crate::dispatch::breaker::Probe;
use crate::dispatch::broker::Outgoing;
use crate::dispatch::control;
use crate::dispatch::custom::Selector;
use crate::dispatch::headers::Headers;
use crate::dispatch::mailbox::Bounds;
use crate::dispatch::retry::Failure;
use crate::dispatch::select::{Nobody, Selection, Target};
use crate::telemetry::AttemptRecord;

/// Room for headers when a body is held against `max_payload`.
const HEADER_ROOM: usize = 64;
/// Frames that a call may have waiting besides stream items: accepted, beats, connection events.
const SPARE_FRAMES: usize = 16;

impl Exchange {
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let link = self.context.link.clone();
        if !link.broker.state().connected {
            return Err(Failure::BrokerUnavailable);
        }
        let (target, probe) = self.select().await?;
        let number = self.attempts + 1;
        let now = Instant::now();
        let recorder = &self.context.recorder;
        let record = AttemptRecord::begin(recorder, &target, &self.call, number, now);
        let trace = record.trace();
        let trace = trace.as_ref().or_else(|| self.call.trace());
        let ticket = link.inbox.open(self.bounds(), link.broker.state().epoch);
        let message = self.message(&target, ticket.subject(), trace, now)?;
        let sent = link.broker.publish(&message).await;
        sent.map_err(|_| Failure::BrokerUnavailable)?;
        drop(message);
        self.attempts += 1;
        let mut attempt = Attempt::new(ticket, &target, self.variant(), record, now);
        attempt.probe_of_breaker = probe;
        self.attempt = Some(attempt);
        self.tell_attempt(&target);
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

    /// Whom to send it to, and the instance's probe if this attempt is that.
    async fn select(&mut self) -> Result<(Target, Option<Probe>), Failure> {
        let clock = self.context.link.clock;
        let again = self.same_node.as_ref().and_then(|id| {
            let mut instances = self.variant().instances.iter();
            instances.find(|i| i.id == *id).cloned()
        });
        if let Some(instance) = again
            && let Ok(pass) = instance.breaker.admit(clock)
        {
            return Ok((Target::Instance(instance), pass.into_probe()));
        }
        // Another call may become the probe between the choice and the admission; then that
        // instance is none to choose any more.
        for _ in 0..=self.variant().instances.len() {
            let target = self.selection().pick(&*self.context.sticky).await?;
            let Target::Instance(instance) = &target else {
                return Ok((target, None));
            };
            if let Ok(pass) = instance.breaker.admit(clock) {
                return Ok((target, pass.into_probe()));
            }
        }
        Err(Failure::NoResponders)
    }

    pub(super) fn selection(&self) -> Selection<'_> {
        Selection {
            function: self.call.function(),
            variant: self.call.variant(),
            request_id: self.call.request_id().as_str(),
            args: self.call.args(),
            identity: self.call.identity(),
            tried: &self.tried,
            clock: self.context.link.clock,
            custom: self.custom(),
        }
    }

    fn custom(&self) -> Option<&dyn Selector> {
        let function = self.call.function();
        let selectors = &self.context.selectors;
        selectors.of(&function.service, &function.request_type)
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

    fn message<'a>(
        &'a self,
        target: &'a Target,
        reply: String,
        trace: Option<&TraceContext>,
        now: Instant,
    ) -> Result<Outgoing<'a>, Failure> {
        let function = self.call.function();
        let (head, body) = self.content()?;
        let headers = match target {
            Target::Fixed(_) if self.variant().bare && head.is_none() => Headers::default(),
            _ => self.block(trace, head.as_deref(), now),
        };
        let size = body.len() + headers.lines().len() + HEADER_ROOM;
        let limit = self.context.link.broker.max_payload();
        if size > limit {
            return Err(Failure::Unsendable(Box::new(too_large(size, limit))));
        }
        let subject = match target {
            Target::Group => Cow::Borrowed(function.call_subject.as_str()),
            Target::Fixed(subject) => Cow::Borrowed(subject.as_str()),
            Target::Instance(instance) => Cow::Owned(self.context.link.subjects.instance_call(
                &function.service,
                &instance.id,
                self.call.spec().version.as_ref(),
                &function.request_type,
            )),
        };
        Ok(Outgoing {
            subject,
            reply: Some(reply),
            headers,
            body,
        })
    }

    /// The headers of the message; `head` is that of a resource's request.
    fn block(&self, trace: Option<&TraceContext>, head: Option<&str>, now: Instant) -> Headers {
        let mut headers = Headers::default();
        let parent = trace.map(|t| t.parent.to_string());
        let mut put = |name: &'static str, value: &str| headers.insert(name, value);
        self.headers(parent.as_deref(), now).encode(&mut put);
        if let Some(state) = trace.and_then(|t| t.state.as_deref()) {
            put(h::TRACESTATE, state);
        }
        if let Some(version) = self.call.translated_by_worker() {
            encode_pending(version.as_str(), &mut put);
        }
        if let Some(head) = head {
            put(h::HTTP, head);
        }
        headers
    }

    /// The body of the message: the args, or for a resource the request's body beside its head.
    fn content(&self) -> Result<(Option<String>, Bytes), Failure> {
        let args = &self.call.args().bytes;
        let Some(request) = self.call.http() else {
            return Ok((None, args.clone()));
        };
        let head = request.head.to_value(args).map_err(|reason| {
            let text = format!("the request cannot be passed on: {reason}; it did not run");
            let error = CallError::new(ErrorCode::InvalidRequest, text);
            Failure::Unsendable(Box::new(CallError {
                status: Some(431),
                ..error
            }))
        })?;
        Ok((Some(head), request.body.clone()))
    }

    fn headers<'a>(&'a self, parent: Option<&'a str>, now: Instant) -> BorrowedCallHeaders<'a> {
        let left = self.deadline.saturating_duration_since(now);
        BorrowedCallHeaders {
            call_id: &self.call_id,
            request_id: self.call.request_id().as_str(),
            identity: self.call.identity(),
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            attempt: self.attempts + 1,
            traceparent: parent,
            credit: self.is_stream().then(|| self.credit()),
            // Pieces of a resource have a head of their own.
            batch: self.is_stream() && self.call.http().is_none(),
            encoding: self.call.encoding(),
        }
    }

    /// What the stream may have sent by now: what the client took, plus the window.
    pub(in crate::dispatch) fn credit(&self) -> Credit {
        let options = &self.context.options;
        Credit {
            items: self.taken.items + options.stream_items,
            bytes: self.taken.bytes + options.stream_bytes,
        }
    }

    /// Sends the present credit to whoever holds the stream.
    pub(in crate::dispatch) async fn grant(&mut self) {
        if !self.is_stream() {
            return;
        }
        let holder = self.attempt.as_ref().and_then(|a| a.holder.as_ref());
        if let Some(holder) = holder.filter(|h| h.credit) {
            control::grant(&self.context.link, holder, &self.call_id, self.credit()).await;
        }
    }
}

impl From<Nobody> for Failure {
    fn from(nobody: Nobody) -> Self {
        match nobody {
            Nobody::Left => Self::NoResponders,
            Nobody::CircuitOpen(wait_ms) => Self::CircuitOpen(wait_ms),
        }
    }
}

fn too_large(size: usize, limit: usize) -> CallError {
    CallError::new(
        ErrorCode::PayloadTooLarge,
        format!("the args with their headers are {size} bytes, the broker takes {limit}"),
    )
    .with_detail("size", size)
    .with_detail("limit", limit)
}
