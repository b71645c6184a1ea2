//! The calls of one socket that have no final answer yet.
//!
//! They run within the socket's own task: no task is spawned for a call, and an answer is taken
//! from a call only when the socket asks for it. Removing a call drops its future or its answers,
//! which cancels it at its worker.
//!
//! A call is known by its key, which its wakers carry; a client's id is looked up only where a
//! client names it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use slab::Slab;
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, FunctionName, RequestId};

use super::channel::Channel;
use super::frame::Ref;
use super::ready::{Handle, Kind, Ready};
use crate::overrides::Notice;
use crate::reply::{Answers, Reply};

/// A call's place: another's after the call was removed.
pub(super) type Key = usize;
/// A call's first answer.
pub(super) type Opened = (Key, Result<Reply, CallError>);
/// One of the answers that follow.
pub(super) type Followed = (Key, Answer);

/// Room for so many calls stays after they have ended.
const FEW: usize = 32;

/// How far a call is.
pub(super) enum Stage {
    /// No answer yet; what kind of function it is only the answer says.
    Opening {
        /// What yields it.
        call: BoxFuture<'static, Result<Reply, CallError>>,
        /// The client has asked to stop it, should it be a stream.
        stop: bool,
    },
    /// An async call that was acknowledged.
    Late(Box<Answers>),
    /// A stream that was opened.
    Streaming(Box<Answers>),
}

/// What is known of a call until its final answer.
pub(super) struct InFlight {
    /// The client's.
    pub(super) id: RequestId,
    pub(super) channel: Arc<Channel>,
    /// That of its push, and so of all its answers.
    pub(super) encoding: Encoding,
    /// The reply that is still owed, where the topic puts responses into replies.
    pub(super) owed: Option<(Ref<'static>, FunctionName)>,
    pub(super) stage: Stage,
    /// What the pipeline says of its version, if that is on its way out.
    pub(super) notice: Option<Arc<OnceLock<Arc<Notice>>>>,
    handle: Handle,
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
    slots: Slab<InFlight>,
    // Clients choose their ids: seeded at random, and never more of them than calls in flight.
    keys: HashMap<RequestId, Key, RandomState>,
    ready: Ready,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The call with this id of its client.
    pub(super) fn key(&self, id: &RequestId) -> Option<Key> {
        self.keys.get(id).copied()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut InFlight> {
        self.slots.get_mut(key)
    }

    /// Starts a call whose id is not in flight.
    pub(super) fn open(
        &mut self,
        id: RequestId,
        opening: Opening,
        call: impl Future<Output = Result<Reply, CallError>> + Send + 'static,
    ) {
        let slot = self.slots.vacant_entry();
        let key = slot.key();
        let call = Box::pin(call);
        slot.insert(InFlight {
            id: id.clone(),
            channel: opening.channel,
            encoding: opening.encoding,
            owed: opening.owed,
            stage: Stage::Opening { call, stop: false },
            notice: opening.notice,
            handle: self.ready.handle(Kind::First, key),
        });
        self.keys.insert(id, key);
    }

    /// Takes up the answers that follow an acknowledgement; `stage` is `Late` or `Streaming`.
    pub(super) fn follow(&mut self, key: Key, stage: Stage) {
        let Some(in_flight) = self.slots.get_mut(key) else {
            return;
        };
        let kind = match stage {
            Stage::Opening { .. } => Kind::First,
            Stage::Late(_) => Kind::Late,
            Stage::Streaming(_) => Kind::Stream,
        };
        in_flight.stage = stage;
        in_flight.handle = self.ready.handle(kind, key);
    }

    /// Forgets a call; cancels it unless it has ended.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(in_flight) = self.slots.try_remove(key) else {
            return;
        };
        self.keys.remove(&in_flight.id);
        if self.slots.is_empty() && self.slots.capacity() > FEW {
            *self = Self::default();
        }
    }

    /// Cancels all calls of a channel.
    pub(super) fn cancel_channel(&mut self, channel: &Arc<Channel>) {
        let keys = &mut self.keys;
        self.slots.retain(|_, in_flight| {
            let other = !Arc::ptr_eq(&in_flight.channel, channel);
            if !other {
                keys.remove(&in_flight.id);
            }
            other
        });
    }

    /// Open streams.
    pub(super) fn streaming(&self) -> Vec<Key> {
        let streams = self.slots.iter();
        streams
            .filter(|(_, in_flight)| matches!(in_flight.stage, Stage::Streaming(_)))
            .map(|(key, _)| key)
            .collect()
    }

    /// The next first answer. Pending if there are no calls.
    pub(super) fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        self.poll(Kind::First, cx, |stage, cx| match stage {
            Stage::Opening { call, .. } => call.as_mut().poll(cx),
            // The key was another's before.
            Stage::Late(_) | Stage::Streaming(_) => Poll::Pending,
        })
    }

    /// The next final answer of an async call. Pending if there are none.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Followed> {
        self.poll_followed(Kind::Late, cx)
    }

    /// The next answer of any stream, in turns. Pending if there are none.
    pub(super) fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Followed> {
        self.poll_followed(Kind::Stream, cx)
    }

    fn poll_followed(&mut self, kind: Kind, cx: &mut Context<'_>) -> Poll<Followed> {
        let (key, answer) = ready!(self.poll(kind, cx, |stage, cx| match stage {
            Stage::Late(answers) | Stage::Streaming(answers) => some(answers.poll_next(cx)),
            Stage::Opening { .. } => Poll::Pending,
        }));
        if let Some(in_flight) = self.slots.get(key)
            && !answer.is_final()
        {
            in_flight.handle.again();
        }
        Poll::Ready((key, answer))
    }

    /// The first of the calls that were woken which has something to say.
    fn poll<T>(
        &mut self,
        kind: Kind,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Stage, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<(Key, T)> {
        // Those that wake themselves meanwhile have their next turn later.
        for _ in 0..self.ready.len(kind) {
            let Some(key) = self.ready.take(kind) else {
                break;
            };
            let Some(in_flight) = self.slots.get_mut(key) else {
                continue;
            };
            in_flight.handle.taken();
            let mut own = Context::from_waker(in_flight.handle.waker());
            if let Poll::Ready(answer) = ask(&mut in_flight.stage, &mut own) {
                return Poll::Ready((key, answer));
            }
        }
        self.ready.listen(kind, cx);
        Poll::Pending
    }
}

/// Nobody waits for what does not exist: a call is removed with its final answer.
fn some<T>(polled: Poll<Option<T>>) -> Poll<T> {
    match polled {
        Poll::Ready(Some(value)) => Poll::Ready(value),
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}
