//! The sending half of a stream: numbers items, waits for credit, ends once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sluice_protocol::{Encoding, Payload};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::outlet::{Item, Outlet, Sink};
use super::running::Running;
use crate::change::run::Translation;
use crate::error::Error;

/// Where the items of one stream go. Clones share it.
///
/// Public in name only, as a part of [`crate::StreamHandler`]'s hidden method.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    call: Arc<Running>,
    outlet: Outlet,
    encoding: Encoding,
    translation: Option<Arc<Translation>>,
    /// Items that were taken; they are on their way, or about to be.
    taken: AtomicU64,
    /// Bytes of the item before: the next one is likely to have as many.
    usual_size: AtomicUsize,
    // Held across a send, so that items leave in the order of their numbers.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: u64,
    bytes: u64,
    closed: bool,
}

impl Lane {
    pub(crate) fn new(call: Arc<Running>, sink: Sink, encoding: Encoding) -> Self {
        Self(Arc::new(Inner {
            outlet: Outlet::new(call.clone(), sink, encoding),
            call,
            encoding,
            translation: None,
            taken: AtomicU64::new(0),
            usual_size: AtomicUsize::new(0),
            state: Mutex::default(),
        }))
    }

    /// The same lane, whose items are brought down to an older version.
    pub(crate) fn translated(mut self, translation: Option<Arc<Translation>>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.translation = translation;
        }
        self
    }

    /// The same lane, whose items may travel together if the caller understands that.
    pub(crate) fn batching(mut self, batches: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.outlet.set_batching(batches);
        }
        self
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.0.encoding
    }

    /// Bytes that the next item is likely to have.
    pub(crate) fn usual_size(&self) -> usize {
        self.0.usual_size.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.0.taken.load(Ordering::Acquire)
    }

    /// Sends one item within the credit. Needs [`Self::flow`] at its side.
    pub(crate) async fn send(&self, payload: Payload, last: bool) -> Result<(), Error> {
        let made = Instant::now();
        let mut taken = made;
        let mut state = self.lock().await;
        if state.closed {
            return Err(Error::new("stream_closed", "the stream has ended already"));
        }
        let seq = state.items + 1;
        let usual = &self.0.usual_size;
        usual.store(payload.bytes.len(), Ordering::Relaxed);
        let payload = match &self.0.translation {
            Some(translation) => translation.response(payload)?,
            None => payload,
        };
        let size = payload.bytes.len() as u64;
        if !self.0.call.has_credit(seq, state.bytes) {
            // More comes once these are read. A handler may wait here with its whole thread, and
            // then nobody else would send them.
            self.0.outlet.flush().await?;
            self.0.call.credit_for(seq, state.bytes).await?;
            taken = Instant::now();
        }
        self.0.call.check()?;
        let item = Item {
            seq,
            payload,
            last,
            made,
            taken,
        };
        let at_once = self.0.outlet.put(item).await?;
        // No wait in between: what was taken has its number, even if the sender is dropped now.
        state.items = seq;
        state.bytes += size;
        state.closed = last;
        self.0.taken.store(seq, Ordering::Release);
        if at_once {
            self.0.outlet.flush().await?;
        }
        Ok(())
    }

    /// Mostly nobody else sends. Taken at once, the lock costs nothing of the task's budget: a task
    /// that has none left pauses, and what it has gathered leaves. Where nothing else would make
    /// a sender wait it has to pause now and then, for the other tasks of its thread.
    async fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.0.state;
        if self.0.call.has_window()
            && let Ok(state) = state.try_lock()
        {
            return state;
        }
        state.lock().await
    }

    /// Lets the items go that handlers have sent; runs beside the handler, and after it in turn.
    ///
    /// A handler that never waits would use up the task's budget before it comes to this.
    pub(crate) async fn flow(&self) -> Infallible {
        unconstrained(self.0.outlet.flow()).await
    }

    /// Makes sure that what was sent is on its way, also while another sender waits for credit.
    pub(crate) async fn flush(&self) {
        if let Err(error) = self.0.outlet.flush().await {
            tracing::debug!(%error, "the last items of a stream were not sent");
        }
    }

    /// Closes the stream; the count of its items, or nothing where the last item said so.
    pub(crate) async fn finish(&self) -> Option<u64> {
        let mut state = self.0.state.lock().await;
        let open = !std::mem::replace(&mut state.closed, true);
        // If this fails the connection is closed for good, or the gateway sees by the count that
        // items are missing.
        self.flush().await;
        open.then_some(state.items)
    }
}

#[cfg(test)]
mod tests {
    use super::super::running::{EndReason, opening};
    use super::*;
    use bytes::Bytes;
    use futures_util::FutureExt;
    use parking_lot::Mutex as SyncMutex;
    use sluice_protocol::function::ResponseType;
    use sluice_protocol::headers::Credit;

    fn lane(credit: Option<Credit>) -> (Lane, Arc<Running>, Arc<SyncMutex<Vec<Bytes>>>) {
        let call = Arc::new(Running::new(opening(ResponseType::Stream, credit)));
        let items = Arc::<SyncMutex<Vec<Bytes>>>::default();
        let sink = Sink::Memory(items.clone());
        (Lane::new(call.clone(), sink, Encoding::Json), call, items)
    }

    #[tokio::test]
    async fn a_stream_ends_once_and_takes_nothing_after_that() {
        let (lane, call, items) = lane(None);
        lane.send(Payload::json("1"), false).await.unwrap();
        lane.send(Payload::json("2"), true).await.unwrap();
        assert_eq!(lane.finish().await, None, "the last item was the end");
        let error = lane.send(Payload::json("3"), false).await.unwrap_err();
        assert_eq!(error.code(), "stream_closed");
        assert_eq!((items.lock().len(), call.sent()), (2, 2));
    }

    #[tokio::test]
    async fn a_sender_waits_for_credit_and_fails_when_the_call_ends() {
        let credit = Credit {
            items: 1,
            bytes: 100,
        };
        let (lane, call, items) = lane(Some(credit));
        lane.send(Payload::json("1"), false).await.unwrap();
        let mut second = Box::pin(lane.send(Payload::json("2"), false));
        assert!(second.as_mut().now_or_never().is_none());
        call.end(EndReason::Cancelled(String::new()));
        assert_eq!(second.await.unwrap_err().code(), "cancelled");
        assert_eq!(items.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn items_that_wait_leave_before_the_end_and_not_after_a_cancel() {
        let (lane, call, items) = lane(None);
        let lane = lane.batching(true);
        for n in 1..=3 {
            let item = Payload::json(n.to_string());
            lane.send(item, false).await.unwrap();
        }
        assert_eq!((lane.sent(), call.sent()), (3, 1));
        assert_eq!(lane.finish().await, Some(3));
        assert_eq!((items.lock().len(), call.sent()), (3, 3));

        let (lane, call, items) = self::lane(None);
        let lane = lane.batching(true);
        lane.send(Payload::json("1"), false).await.unwrap();
        lane.send(Payload::json("2"), false).await.unwrap();
        call.end(EndReason::Cancelled(String::new()));
        let error = lane.send(Payload::json("3"), true).await.unwrap_err();
        assert_eq!(error.code(), "cancelled");
        drop(lane);
        assert_eq!(*items.lock(), ["1"]);
    }

    #[tokio::test]
    async fn who_waits_for_credit_does_not_keep_back_what_it_was_spent_on() {
        let credit = Credit {
            items: 2,
            bytes: 100,
        };
        let (lane, call, items) = lane(Some(credit));
        let lane = lane.batching(true);
        let sender = tokio::spawn({
            let lane = lane.clone();
            async move {
                for n in 1..=3 {
                    let item = Payload::json(n.to_string());
                    lane.send(item, n == 3).await.unwrap();
                }
            }
        });
        while call.sent() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(items.lock().len(), 2);
        let more = Credit {
            items: 3,
            bytes: 100,
        };
        call.grant(more, Instant::now());
        sender.await.unwrap();
        assert_eq!(lane.finish().await, None, "the last item was the end");
        assert_eq!(*items.lock(), ["1", "2", "3"]);
    }
}
