//! The calls of one socket that have no final answer yet.
//!
//! They run within the socket's own task: no task is spawned for a call, and an answer is taken
//! from a call only when the socket asks for it. Removing a call drops its future or its answers,
//! which cancels it at its worker.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::{self, BoxStream, FuturesUnordered, SelectAll, Stream, StreamExt as _};
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, FunctionName, RequestId};

use super::channel::Channel;
use super::frame::Ref;
use crate::overrides::Notice;
use crate::reply::{Answers, Reply};

/// A call's first answer.
pub(super) type Opened = (RequestId, Result<Reply, CallError>);
/// One of the answers that follow.
pub(super) type Followed = (RequestId, Answer);

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No answer yet; what kind of function it is only the answer says.
    Opening {
        /// The client has asked to stop it, should it be a stream.
        stop: bool,
    },
    /// An async call that was acknowledged.
    Late,
    /// A stream that was opened.
    Streaming,
}

/// What is known of a call until its final answer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) channel: Arc<Channel>,
    /// That of its push, and so of all its answers.
    pub(super) encoding: Encoding,
    /// The reply that is still owed, where the topic puts responses into replies.
    pub(super) owed: Option<(Ref<'static>, FunctionName)>,
    pub(super) stage: Stage,
    /// What the pipeline says of its version, if that is on its way out.
    pub(super) notice: Option<Arc<OnceLock<Arc<Notice>>>>,
    abort: AbortHandle,
}

/// What a call begins with.
pub(super) struct Opening {
    pub(super) channel: Arc<Channel>,
    pub(super) encoding: Encoding,
    pub(super) owed: Option<(Ref<'static>, FunctionName)>,
    pub(super) notice: Option<Arc<OnceLock<Arc<Notice>>>>,
}

/// The calls of one socket.
#[derive(Default)]
pub(super) struct Calls {
    table: HashMap<RequestId, InFlight>,
    opening: FuturesUnordered<Abortable<BoxFuture<'static, Opened>>>,
    // Apart from streams: a full outbox holds streams back first.
    late: SelectAll<Abortable<BoxStream<'static, Followed>>>,
    streams: SelectAll<Abortable<BoxStream<'static, Followed>>>,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn contains(&self, id: &RequestId) -> bool {
        self.table.contains_key(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut InFlight> {
        self.table.get_mut(id)
    }

    /// Starts a call whose id is not in flight.
    pub(super) fn open(
        &mut self,
        id: RequestId,
        opening: Opening,
        call: impl Future<Output = Result<Reply, CallError>> + Send + 'static,
    ) {
        let (abort, registration) = AbortHandle::new_pair();
        let name = id.clone();
        let future: BoxFuture<'static, Opened> = Box::pin(async move { (name, call.await) });
        self.opening.push(Abortable::new(future, registration));
        let in_flight = InFlight {
            channel: opening.channel,
            encoding: opening.encoding,
            owed: opening.owed,
            stage: Stage::Opening { stop: false },
            notice: opening.notice,
            abort,
        };
        self.table.insert(id, in_flight);
    }

    /// Takes up the answers that follow an acknowledgement; `stage` is `Late` or `Streaming`.
    pub(super) fn follow(&mut self, id: &RequestId, stage: Stage, answers: Answers) {
        let Some(in_flight) = self.table.get_mut(id.as_str()) else {
            return;
        };
        let (abort, registration) = AbortHandle::new_pair();
        in_flight.abort = abort;
        in_flight.stage = stage;
        let each = stream::unfold((id.clone(), answers), |(id, mut answers)| async move {
            let answer = answers.next().await?;
            Some(((id.clone(), answer), (id, answers)))
        });
        let each = Abortable::new(each.boxed(), registration);
        match stage {
            Stage::Streaming => self.streams.push(each),
            Stage::Late | Stage::Opening { .. } => self.late.push(each),
        }
    }

    /// Forgets a call; cancels it unless it has ended.
    pub(super) fn remove(&mut self, id: &str) -> Option<InFlight> {
        let in_flight = self.table.remove(id)?;
        in_flight.abort.abort();
        Some(in_flight)
    }

    /// Cancels all calls of a channel.
    pub(super) fn cancel_channel(&mut self, channel: &Arc<Channel>) {
        self.table.retain(|_, in_flight| {
            let other = !Arc::ptr_eq(&in_flight.channel, channel);
            if !other {
                in_flight.abort.abort();
            }
            other
        });
    }

    /// The ids of open streams.
    pub(super) fn streaming(&self) -> Vec<RequestId> {
        let streams = self.table.iter();
        streams
            .filter(|(_, in_flight)| in_flight.stage == Stage::Streaming)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The next first answer. Pending if there are no calls.
    pub(super) fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        loop {
            match Pin::new(&mut self.opening).poll_next(cx) {
                Poll::Ready(Some(Ok(opened))) => return Poll::Ready(opened),
                // It was cancelled.
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next final answer of an async call. Pending if there are none.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Followed> {
        some(Pin::new(&mut self.late).poll_next(cx))
    }

    /// The next answer of any stream. Pending if there are none.
    pub(super) fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Followed> {
        some(Pin::new(&mut self.streams).poll_next(cx))
    }
}

fn some<T>(polled: Poll<Option<T>>) -> Poll<T> {
    match polled {
        Poll::Ready(Some(value)) => Poll::Ready(value),
        // Nobody waits for what does not exist: the next call polls again.
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}
