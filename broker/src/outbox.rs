//! What waits to be written to one connection: any number of writers, one reader, bounded.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BufMut};
use tokio::sync::Notify;

use crate::batch::Batch;
use crate::refusal::Refusal;
use crate::sync::lock;

/// The queue between those who route messages and the task that writes to the socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    max_pending: usize,
    state: Mutex<State>,
    /// The same as `state.closing`, for those who only want a hint.
    closing: AtomicBool,
    /// Wakes the writing task.
    ready: Notify,
    /// Wakes those who wait for the backlog to shrink.
    relieved: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Batch,
    /// Bytes not yet written: `queue`, and the batch that is being written.
    pending: usize,
    /// Nothing is taken any more; what is queued is still written.
    closing: bool,
    /// Someone has undertaken to call `wake`.
    wake_promised: bool,
}

/// What became of bytes that were to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Queued. The caller owes a `wake` if `wake` is set, and had better pause if `backlogged`.
    Queued { wake: bool, backlogged: bool },
    /// They were one too many: the connection is cut. The caller owes a `wake`.
    Overflowed,
    /// The connection is closing; nothing was queued.
    Closed,
}

impl Outbox {
    pub(crate) fn new(max_pending: usize) -> Self {
        Self {
            max_pending,
            state: Mutex::default(),
            closing: AtomicBool::new(false),
            ready: Notify::new(),
            relieved: Notify::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closing.load(Ordering::Relaxed)
    }

    /// Queues what `write` appends: whole protocol messages, so that a cut falls between two.
    /// What else `write` does happens in the order in which bytes are queued.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Batch)) -> Pushed {
        let mut state = lock(&self.state);
        if state.closing {
            return Pushed::Closed;
        }
        let before = state.queue.remaining();
        write(&mut state.queue);
        state.pending += state.queue.remaining() - before;
        if state.pending > self.max_pending {
            self.cut(&mut state);
            return Pushed::Overflowed;
        }
        let wake = !state.queue.is_empty() && !std::mem::replace(&mut state.wake_promised, true);
        Pushed::Queued {
            wake,
            backlogged: state.pending > self.max_pending / 4 * 3,
        }
    }

    /// Runs `step` in order with the bytes that are queued.
    pub(crate) fn in_order<T>(&self, step: impl FnOnce() -> T) -> T {
        let _state = lock(&self.state);
        step()
    }

    /// Lets the writing task know about what was pushed.
    pub(crate) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Takes no more; what is queued, then `refusal`, is still written.
    pub(crate) fn close(&self, refusal: Option<Refusal>) {
        let mut state = lock(&self.state);
        if !state.closing {
            if let Some(refusal) = refusal {
                state.queue.reserve(0).put_slice(refusal.line().as_bytes());
            }
            self.mark_closing(&mut state);
        }
        drop(state);
        self.wake();
    }

    /// Swaps the queue into `batch`, which must be empty, as soon as there is something to write.
    /// False: closed, and all is written.
    pub(crate) async fn next_batch(&self, batch: &mut Batch) -> bool {
        loop {
            {
                let mut state = lock(&self.state);
                state.wake_promised = false;
                if !state.queue.is_empty() {
                    std::mem::swap(&mut state.queue, batch);
                    return true;
                }
                if state.closing {
                    return false;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Counts bytes that the socket has taken.
    pub(crate) fn written(&self, count: usize) {
        let mut state = lock(&self.state);
        let was_high = state.pending > self.max_pending / 2;
        state.pending = state.pending.saturating_sub(count);
        let is_high = state.pending > self.max_pending / 2;
        drop(state);
        if was_high && !is_high {
            self.relieved.notify_waiters();
        }
    }

    /// Completes when half of the backlog is gone, or the connection with it.
    pub(crate) async fn wait_for_relief(&self) {
        loop {
            let relieved = self.relieved.notified();
            tokio::pin!(relieved);
            // Before the check, so that relief in between is not missed.
            relieved.as_mut().enable();
            {
                let state = lock(&self.state);
                if state.closing || state.pending <= self.max_pending / 2 {
                    return;
                }
            }
            relieved.await;
        }
    }

    /// Drops what a slow consumer will not read, and tells it why.
    fn cut(&self, state: &mut State) {
        state.queue.clear();
        state
            .queue
            .reserve(0)
            .put_slice(Refusal::SlowConsumer.line().as_bytes());
        self.mark_closing(state);
    }

    fn mark_closing(&self, state: &mut State) {
        state.closing = true;
        self.closing.store(true, Ordering::Relaxed);
        self.relieved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &Outbox, bytes: &[u8]) -> Pushed {
        outbox.push(|batch| batch.reserve(bytes.len()).put_slice(bytes))
    }

    async fn take(outbox: &Outbox) -> Option<Vec<u8>> {
        let mut batch = Batch::default();
        let more = outbox.next_batch(&mut batch).await;
        more.then(|| batch.copy_to_bytes(batch.remaining()).to_vec())
    }

    #[tokio::test]
    async fn coalesces_and_asks_for_one_wake() {
        let outbox = Outbox::new(100);
        assert_eq!(
            push(&outbox, b"one "),
            Pushed::Queued {
                wake: true,
                backlogged: false
            }
        );
        assert_eq!(
            push(&outbox, b"two"),
            Pushed::Queued {
                wake: false,
                backlogged: false
            }
        );
        assert_eq!(take(&outbox).await.unwrap(), b"one two");
        assert_eq!(
            push(&outbox, b"3"),
            Pushed::Queued {
                wake: true,
                backlogged: false
            }
        );
    }

    #[tokio::test]
    async fn cuts_when_unwritten_bytes_exceed_the_bound() {
        let outbox = Outbox::new(8);
        push(&outbox, b"1234567");
        assert_eq!(take(&outbox).await.unwrap(), b"1234567");
        assert_eq!(
            push(&outbox, b"8"),
            Pushed::Queued {
                wake: true,
                backlogged: true
            }
        );
        assert_eq!(push(&outbox, b"9"), Pushed::Overflowed);
        assert_eq!(push(&outbox, b"10"), Pushed::Closed);
        assert_eq!(take(&outbox).await.unwrap(), b"-ERR 'Slow Consumer'\r\n");
        assert_eq!(take(&outbox).await, None);
    }

    #[tokio::test]
    async fn what_is_written_makes_room() {
        let outbox = Outbox::new(8);
        push(&outbox, b"12345678");
        let wait = outbox.wait_for_relief();
        tokio::pin!(wait);
        assert!(futures_util::poll!(wait.as_mut()).is_pending());
        outbox.written(4);
        wait.await;
        assert!(matches!(push(&outbox, b"1234"), Pushed::Queued { .. }));
    }

    #[tokio::test]
    async fn closing_writes_the_rest_first() {
        let outbox = Outbox::new(100);
        push(&outbox, b"rest;");
        outbox.close(Some(Refusal::Stale));
        outbox.close(Some(Refusal::Malformed));
        assert!(!outbox.is_open());
        assert_eq!(push(&outbox, b"late"), Pushed::Closed);
        assert_eq!(
            take(&outbox).await.unwrap(),
            b"rest;-ERR 'Stale Connection'\r\n"
        );
        assert_eq!(take(&outbox).await, None);
    }
}
