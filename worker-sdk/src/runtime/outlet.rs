//! Where the items of a stream leave: those that are ready together go in one message.
//!
//! Nothing waits for more to come. Items that follow each other closely gather while the handler
//! runs, and leave as soon as it waits for anything, credit included, when a message is full, and
//! before the stream's last word. Any other item leaves at once; one that is too large for a
//! message of several goes alone, behind what has gathered.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex as SyncMutex;
use sluice_protocol::batch::BatchBuilder;
use sluice_protocol::{Encoding, ErrorCode, Executed, Frame, Payload};
use tokio::sync::{Mutex, Notify};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::reply::Replier;
use super::running::Running;
use crate::error::Error;

/// Most items of one message.
const MAX_ITEMS: usize = 256;
/// Most bytes of a message with several items, and a quarter of what the broker takes.
const MAX_BYTES: usize = 128 * 1024;
/// Items that take longer to be made do not gather: a handler that computes them one by one would
/// keep each back until the next is done.
const CLOSE: Duration = Duration::from_micros(100);

/// What takes the frames of a stream.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The caller's inbox.
    Nats(Replier),
    /// A test's list of items.
    Memory(Arc<SyncMutex<Vec<Bytes>>>),
    /// A list of frames, each of which needs a permit, and the bytes that a message may have.
    #[cfg(test)]
    Gated(
        Arc<SyncMutex<Vec<Frame>>>,
        Arc<tokio::sync::Semaphore>,
        usize,
    ),
}

/// Hands items over in the order in which they are put in.
#[derive(Debug)]
pub(crate) struct Outlet {
    call: Arc<Running>,
    sink: Sink,
    encoding: Encoding,
    /// Whether the caller understands batches.
    batches: bool,
    gathered: SyncMutex<Gathered>,
    /// What is being handed over, with the number of its last item. It stays here when whoever
    /// does it is dropped meanwhile, so that the next one goes on with it.
    leaving: Mutex<Option<(Frame, u64)>>,
    /// Something was gathered.
    ready: Notify,
    /// Items were lost: nothing may follow them.
    broken: AtomicBool,
}

/// One item of a stream.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its number.
    pub(crate) seq: u64,
    pub(crate) payload: Payload,
    /// Whether the stream ends with it.
    pub(crate) last: bool,
    /// When it was there.
    pub(crate) made: Instant,
    /// When its sender had done waiting for credit and room.
    pub(crate) taken: Instant,
}

#[derive(Debug, Default)]
struct Gathered {
    items: BatchBuilder,
    /// Bytes that they may have; looked up with the first.
    limit: usize,
    first: u64,
    last: bool,
    /// When the newest item was taken, whether it is still here or not.
    newest: Option<Instant>,
}

impl Outlet {
    pub(crate) fn new(call: Arc<Running>, sink: Sink, encoding: Encoding) -> Self {
        Self {
            call,
            sink,
            encoding,
            batches: false,
            gathered: SyncMutex::default(),
            leaving: Mutex::default(),
            ready: Notify::new(),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether items may travel together, or each goes at once and by itself.
    pub(crate) fn set_batching(&mut self, batches: bool) {
        self.batches = batches;
    }

    /// Takes an item, and says whether a [`Self::flush`] has to follow at once. Where this is
    /// dropped before it is done, the item was not taken.
    pub(crate) async fn put(&self, mut item: Item) -> Result<bool, Error> {
        // Pieces of resources have heads, and travel alone.
        if self.batches && item.payload.encoding == self.encoding {
            if let Some(at_once) = self.gather(&item)? {
                return Ok(at_once);
            }
            self.flush().await?;
            // The message is full, or the item is too large for any. A handler that never waits
            // has had its turn.
            yield_now().await;
            item.taken = Instant::now();
            if let Some(at_once) = self.gather(&item)? {
                return Ok(at_once);
            }
        }
        self.flush().await?;
        let Item {
            seq, payload, last, ..
        } = item;
        let frame = Frame::Item { seq, payload, last };
        self.sink.put(&frame).await?;
        self.call.item_sent(seq, Instant::now());
        Ok(false)
    }

    /// Puts the item to the others, and says whether all have to leave at once; `None`: there is
    /// no room for it.
    fn gather(&self, item: &Item) -> Result<Option<bool>, Error> {
        self.check()?;
        let mut gathered = self.gathered.lock();
        let first = gathered.items.is_empty();
        if first {
            gathered.limit = self.sink.limit();
        }
        if !gathered.has_room(&item.payload) {
            return Ok(None);
        }
        let close = gathered.push(item);
        drop(gathered);
        // Also where a flush follows, which may be dropped before it is done.
        if first {
            self.ready.notify_one();
        }
        Ok(Some(item.last || !close))
    }

    /// Hands over what is there, whenever there is something.
    pub(crate) async fn flow(&self) -> Infallible {
        loop {
            self.ready.notified().await;
            if let Err(error) = self.flush().await {
                tracing::debug!(%error, "items of a stream were not sent");
            }
        }
    }

    /// Hands over all that was taken.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        if !self.batches {
            return Ok(());
        }
        let mut leaving = self.leaving.lock().await;
        self.leave(&mut leaving).await?;
        *leaving = self.gathered.lock().take(self.encoding);
        self.leave(&mut leaving).await
    }

    async fn leave(&self, leaving: &mut Option<(Frame, u64)>) -> Result<(), Error> {
        self.check()?;
        if let Some((frame, seq)) = leaving {
            let sent = self.sink.put(frame).await;
            let seq = *seq;
            *leaving = None;
            if sent.is_err() {
                self.broken.store(true, Ordering::Release);
                return self.check();
            }
            self.call.item_sent(seq, Instant::now());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if !self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let text =
            "items could not be sent: the worker stops, or its broker takes less than it did";
        Err(Error::of(ErrorCode::StreamLost, text).executed(Executed::Yes))
    }
}

impl Gathered {
    fn has_room(&self, payload: &Payload) -> bool {
        self.items.len() < MAX_ITEMS && self.items.size_with(payload.bytes.len()) <= self.limit
    }

    /// Says whether it was made soon after the one before had been taken.
    fn push(&mut self, item: &Item) -> bool {
        if self.items.is_empty() {
            self.first = item.seq;
        }
        let before = self.newest;
        // Another sender may have come first with a later item.
        self.newest = before.max(Some(item.taken));
        // It fits: it is no larger than a message.
        self.items.push(&item.payload.bytes);
        self.last = item.last;
        before.is_some_and(|before| item.made.saturating_duration_since(before) < CLOSE)
    }

    /// The message that holds all, and the number of its last item.
    fn take(&mut self, encoding: Encoding) -> Option<(Frame, u64)> {
        let items = self.items.take(encoding)?;
        let (first, last) = (self.first, self.last);
        if items.len() == 1 {
            let payload = items.items().next()?;
            let frame = Frame::Item {
                seq: first,
                payload,
                last,
            };
            return Some((frame, first));
        }
        let end = first + (items.len() as u64 - 1);
        Some((Frame::Items { first, items, last }, end))
    }
}

impl Sink {
    /// Bytes that a message with several items may have.
    fn limit(&self) -> usize {
        match self {
            Self::Nats(replier) => MAX_BYTES.min(replier.max_payload() / 4),
            Self::Memory(_) => MAX_BYTES,
            #[cfg(test)]
            Self::Gated(_, _, limit) => *limit,
        }
    }

    async fn put(&self, frame: &Frame) -> Result<(), Error> {
        match self {
            Self::Nats(replier) => replier.item(frame).await,
            Self::Memory(list) => {
                match frame {
                    Frame::Item { payload, .. } => list.lock().push(payload.bytes.clone()),
                    Frame::Items { items, .. } => {
                        list.lock().extend(items.items().map(|item| item.bytes));
                    }
                    _ => {}
                }
                Ok(())
            }
            #[cfg(test)]
            Self::Gated(list, gate, _) => {
                let closed = |_| Error::of(ErrorCode::StreamLost, "the gate is closed");
                gate.acquire().await.map_err(closed)?.forget();
                list.lock().push(frame.clone());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
