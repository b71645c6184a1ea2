//! Sends calls to workers and watches over them until their one final answer.
//!
//! ```text
//! Dispatcher::send ── Exchange (attempts, retries, deadline) ── Attempt (one message, its replies)
//!                        │ select: which instance                 │ probe: is it still held?
//!                        └ stream / background drivers            └ inbox → mailbox
//! ```

pub mod breaker;
pub mod broker;
pub mod bulkhead;
pub mod custom;
pub mod guards;
pub mod headers;
pub mod inbox;
pub mod mailbox;
pub mod nats;
pub mod probe;
pub mod rendezvous;
pub mod retry;
pub mod select;
pub mod wire;
pub(crate) use self::exchange::timeout_of;

mod admission;
mod attempt;
mod control;
mod driver;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sluice_protocol::function::ResponseType;
use sluice_protocol::{CallError, Encoding, Subjects};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::broker::Broker;
use self::custom::Selectors;
use self::exchange::{Exchange, Progress};
use self::inbox::Inbox;
use crate::config::{BreakerOptions, DispatchOptions};
use crate::live::{Live, Stream, Ticket};
use crate::pipeline::Ready;
use crate::registry::Registry;
use crate::reply::{Answers, Reply};
use crate::sticky::StickyStore;
use crate::telemetry::Recorder;

/// Milliseconds since the shard's start, for suspensions.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since its start.
    #[must_use]
    pub fn now_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The way to the broker and back.
#[derive(Debug, Clone)]
pub struct Link {
    /// Messages go out here.
    pub broker: Arc<dyn Broker>,
    /// Replies come in here.
    pub inbox: Arc<Inbox>,
    /// For suspensions. One for all shards: instances are shared.
    pub clock: Clock,
    /// Names of subjects.
    pub subjects: Arc<Subjects>,
}

/// What one shard's dispatcher works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) link: Link,
    pub(crate) registry: Arc<Registry>,
    pub(crate) sticky: Arc<dyn StickyStore>,
    pub(crate) options: DispatchOptions,
    pub(crate) breaker: BreakerOptions,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) selectors: Selectors,
}

/// Dispatches calls that passed the pipeline. One for each shard.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    context: Arc<Context>,
    live: Arc<Live>,
}

impl Dispatcher {
    /// A dispatcher over `link`.
    #[must_use]
    pub fn new(
        link: Link,
        registry: Arc<Registry>,
        sticky: Arc<dyn StickyStore>,
        options: DispatchOptions,
        breaker: BreakerOptions,
    ) -> Self {
        Self {
            context: Arc::new(Context {
                link,
                registry,
                sticky,
                options,
                breaker,
                recorder: Arc::default(),
                selectors: Selectors::default(),
            }),
            live: Arc::default(),
        }
    }

    /// The same, with instances of some functions selected by code of the embedding program.
    #[must_use]
    pub fn selecting_by(self, selectors: Selectors) -> Self {
        let context = (*self.context).clone();
        Self {
            context: Arc::new(Context {
                selectors,
                ..context
            }),
            live: self.live,
        }
    }

    /// Counting with this recorder.
    #[must_use]
    pub fn recorded_by(self, recorder: Arc<Recorder>) -> Self {
        let context = (*self.context).clone();
        Self {
            context: Arc::new(Context {
                recorder,
                ..context
            }),
            live: self.live,
        }
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.context.recorder
    }

    /// The same; its streams are on this list.
    #[must_use]
    pub fn listed_in(mut self, live: Arc<Live>) -> Self {
        self.live = live;
        self
    }

    /// Sends a call; returns when there is something to tell the client. What follows after
    /// that is driven by a task of its own.
    ///
    /// # Errors
    /// Whatever keeps the call from being taken or, for sync, from being answered.
    pub fn send(
        &self,
        call: Ready,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        let (context, live) = (self.context.clone(), self.live.clone());
        // Not an async fn, which would have room for its argument twice.
        async move {
            let kind = call.spec().response_type;
            let encoding = call.encoding();
            let admitted = admission::admit(&context, &call).await?;
            // Boxed: it is large, and goes through many hands.
            let mut exchange = Box::new(Exchange::new(context, call, admitted));
            match (kind, exchange.next().await?) {
                (ResponseType::Sync, Progress::Result(result)) => {
                    // Where the worker answered in its own encoding the edge cannot splice it.
                    Ok(Reply::Result(into_encoding(result, encoding)?))
                }
                (ResponseType::None, _) => Ok(Reply::Accepted),
                (ResponseType::Async, first) => {
                    let due = exchange.deadline;
                    Ok(Reply::Async(spawn(exchange, first, None)).due(due))
                }
                (ResponseType::Stream, first) => {
                    let ticket = live.streams.open(exchange.as_live());
                    let answers = spawn(exchange, first, Some(ticket));
                    Ok(Reply::Stream(answers))
                }
                (ResponseType::Sync, _) => {
                    Err(exchange.protocol_error("a sync call has one result"))
                }
            }
        }
    }
}

fn spawn(exchange: Box<Exchange>, first: Progress, ticket: Option<Ticket<Stream>>) -> Answers {
    let cancel = CancellationToken::new();
    let (sender, answers) = Answers::queued(cancel.clone());
    tokio::spawn(driver::drive(exchange, first, sender, cancel, ticket));
    answers
}

fn into_encoding(
    result: sluice_protocol::Payload,
    wanted: Encoding,
) -> Result<sluice_protocol::Payload, CallError> {
    // A resource's answer is checked to be one, and has no other form.
    if result.encoding == wanted || result.encoding == Encoding::Http {
        return Ok(result);
    }
    result.transcode(wanted).map_err(|e| {
        CallError::new(
            sluice_protocol::ErrorCode::WorkerError,
            format!("the worker's result: {e}"),
        )
        .with_executed(sluice_protocol::Executed::Yes, false)
    })
}
