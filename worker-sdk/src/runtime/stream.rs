//! The sending half of a stream: numbers items, waits for credit, ends once.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex as SyncMutex;
use sluice_protocol::{Encoding, Frame, Payload};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::reply::Replier;
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
    sink: Sink,
    encoding: Encoding,
    translation: Option<Arc<Translation>>,
    // Held across a send, so that items leave in the order of their numbers.
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) enum Sink {
    /// The caller's inbox.
    Nats(Replier),
    /// A test's list.
    Memory(Arc<SyncMutex<Vec<Bytes>>>),
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
            call,
            sink,
            encoding,
            translation: None,
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

    pub(crate) fn encoding(&self) -> Encoding {
        self.0.encoding
    }

    pub(crate) fn sent(&self) -> u64 {
        self.0.call.sent()
    }

    /// Sends one item within the credit.
    pub(crate) async fn send(&self, payload: Payload, last: bool) -> Result<(), Error> {
        let mut state = self.0.state.lock().await;
        if state.closed {
            return Err(Error::new("stream_closed", "the stream has ended already"));
        }
        let seq = state.items + 1;
        let payload = match &self.0.translation {
            Some(translation) => translation.response(payload)?,
            None => payload,
        };
        let size = payload.bytes.len() as u64;
        self.0.call.credit_for(seq, state.bytes).await?;
        self.0.sink.put(seq, payload, last).await?;
        self.0.call.item_sent(seq, Instant::now());
        state.items = seq;
        state.bytes += size;
        state.closed = last;
        Ok(())
    }

    /// Closes the stream; the count of its items, or nothing where the last item said so.
    pub(crate) async fn finish(&self) -> Option<u64> {
        let mut state = self.0.state.lock().await;
        let open = !std::mem::replace(&mut state.closed, true);
        open.then_some(state.items)
    }
}

impl Sink {
    async fn put(&self, seq: u64, payload: Payload, last: bool) -> Result<(), Error> {
        match self {
            Self::Nats(replier) => {
                let frame = Frame::Item { seq, payload, last };
                replier.item(&frame).await
            }
            Self::Memory(items) => {
                items.lock().push(payload.bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::running::{EndReason, opening};
    use super::*;
    use futures_util::FutureExt;
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
}
