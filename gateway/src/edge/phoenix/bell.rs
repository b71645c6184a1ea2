//! A waker that remembers whether it was woken: what was not need not be polled.
//!
//! A socket is polled several times for each call, and each look at its transport or its timers
//! would cost more than the call's own turn there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls something only after it rang. It has rung at first.
#[derive(Debug)]
pub(super) struct Bell {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Debug)]
struct Shared {
    rung: AtomicBool,
    /// Whom to wake then.
    listener: AtomicWaker,
}

impl Bell {
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared {
            rung: AtomicBool::new(true),
            listener: AtomicWaker::new(),
        });
        let waker = Waker::from(Arc::clone(&shared));
        Self { shared, waker }
    }

    /// Asks, unless the last answer was "pending" and nothing has woken since.
    pub(super) fn poll<T>(
        &self,
        cx: &Context<'_>,
        ask: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the look, so that no ring falls in between.
        self.shared.listener.register(cx.waker());
        if !self.shared.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = ask(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.again();
        }
        polled
    }

    /// The next poll asks in any case.
    pub(super) fn again(&self) {
        self.shared.rung.store(true, Ordering::Release);
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_did_not_ring_is_not_asked() {
        let (bell, asked) = (Bell::new(), Cell::new(0));
        let ready = Cell::new(false);
        let ask = |own: &mut Option<Waker>| {
            poll_fn(|cx| {
                bell.poll(cx, |inner| {
                    asked.set(asked.get() + 1);
                    *own = Some(inner.waker().clone());
                    if ready.get() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
            })
            .now_or_never()
        };
        let mut own = None;
        assert_eq!(ask(&mut own), None);
        assert_eq!(ask(&mut own), None);
        assert_eq!(asked.get(), 1, "nothing has rung");
        own.take().unwrap().wake();
        ready.set(true);
        assert_eq!(ask(&mut own), Some(()));
        // There may be more.
        assert_eq!(ask(&mut own), Some(()));
        assert_eq!(asked.get(), 3);
        ready.set(false);
        assert_eq!(ask(&mut own), None);
        bell.again();
        assert_eq!(ask(&mut own), None);
        assert_eq!(asked.get(), 5);
    }

    #[tokio::test]
    async fn a_ring_wakes_who_waits() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let waiting = tokio::spawn(async move {
            let bell = Bell::new();
            let mut got = Vec::new();
            for _ in 0..3 {
                got.push(poll_fn(|cx| bell.poll(cx, |cx| receiver.poll_recv(cx))).await);
            }
            got
        });
        for n in 1..=2 {
            tokio::task::yield_now().await;
            sender.send(n).unwrap();
        }
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(waiting.await.unwrap(), [Some(1), Some(2), None]);
    }
}
