//! Which of a socket's calls may have something to say: keys, put down by the calls' wakers.
//!
//! A key that is found here is a hint. Its call may have nothing to say yet, or be gone and its
//! key another's; whoever takes one polls and sees.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;

/// What kind of answer a call owes: each kind is asked for on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its first one.
    First,
    /// The late one of an async call.
    Late,
    /// Items of a stream.
    Stream,
}

#[derive(Debug, Default)]
struct State {
    keys: [VecDeque<usize>; 3],
    /// The socket, where it found nothing.
    socket: Option<Waker>,
}

/// The calls of one socket that may have something to say, in the order in which they said so.
#[derive(Debug, Default)]
pub(super) struct Ready(Arc<Mutex<State>>);

/// What wakes one call.
#[derive(Debug)]
struct Nudge {
    kind: Kind,
    key: usize,
    /// Whether its key is on the list already.
    listed: AtomicBool,
    ready: Arc<Mutex<State>>,
}

/// A call's hand on its waker.
#[derive(Debug)]
pub(super) struct Handle {
    nudge: Arc<Nudge>,
    waker: Waker,
}

impl Ready {
    /// The handle of a new call, listed already; for the socket's own task.
    pub(super) fn handle(&self, kind: Kind, key: usize) -> Handle {
        let nudge = Arc::new(Nudge {
            kind,
            key,
            listed: AtomicBool::new(false),
            ready: Arc::clone(&self.0),
        });
        let waker = Waker::from(Arc::clone(&nudge));
        let handle = Handle { nudge, waker };
        handle.again();
        handle
    }

    /// The next key of that kind.
    pub(super) fn take(&self, kind: Kind) -> Option<usize> {
        self.0.lock().keys[kind as usize].pop_front()
    }

    /// Wakes the socket at the next key of any kind; at once if there is one of this kind.
    pub(super) fn listen(&self, kind: Kind, cx: &Context<'_>) {
        let mut state = self.0.lock();
        if !state.keys[kind as usize].is_empty() {
            cx.waker().wake_by_ref();
        } else if !matches!(&state.socket, Some(waker) if waker.will_wake(cx.waker())) {
            state.socket = Some(cx.waker().clone());
        }
    }

    /// How many keys of that kind wait now.
    pub(super) fn len(&self, kind: Kind) -> usize {
        self.0.lock().keys[kind as usize].len()
    }
}

impl Handle {
    /// Its key was taken from the list: from now on a wake-up lists it again.
    pub(super) fn taken(&self) {
        self.nudge.listed.store(false, Ordering::Release);
    }

    /// To poll its call with.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// It is to be asked again, after all others that are listed; for the socket's own task,
    /// which asks before it sleeps.
    pub(super) fn again(&self) {
        let _ = self.nudge.list(false);
    }
}

impl Nudge {
    /// Puts its key on the list, unless it is there; whom to wake then, if `wake`.
    fn list(&self, wake: bool) -> Option<Waker> {
        if self.listed.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut state = self.ready.lock();
        state.keys[self.kind as usize].push_back(self.key);
        state.socket.take_if(|_| wake)
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(socket) = self.list(true) {
            socket.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    fn keys(ready: &Ready, kind: Kind) -> Vec<usize> {
        std::iter::from_fn(|| ready.take(kind)).collect()
    }

    #[test]
    fn a_key_is_listed_once_under_its_kind_and_again_after_it_was_taken() {
        let ready = Ready::default();
        let (a, b) = (ready.handle(Kind::First, 1), ready.handle(Kind::Stream, 2));
        a.again();
        b.waker().wake_by_ref();
        assert_eq!((ready.len(Kind::First), ready.len(Kind::Stream)), (1, 1));
        assert_eq!(keys(&ready, Kind::First), [1]);
        a.again();
        assert_eq!(keys(&ready, Kind::First), [0; 0], "it was not taken");
        a.taken();
        a.again();
        assert_eq!(keys(&ready, Kind::First), [1]);
        assert_eq!(keys(&ready, Kind::Stream), [2]);
        assert_eq!(keys(&ready, Kind::Late), [0; 0]);
    }

    #[tokio::test]
    async fn a_socket_that_found_nothing_is_woken() {
        let ready = Ready::default();
        let handle = ready.handle(Kind::Late, 7);
        assert_eq!(keys(&ready, Kind::Late), [7]);
        handle.taken();
        let waiting = tokio::spawn(poll_fn(move |cx| match ready.take(Kind::Late) {
            Some(key) => Poll::Ready(key),
            None => {
                ready.listen(Kind::Late, cx);
                Poll::Pending
            }
        }));
        tokio::task::yield_now().await;
        handle.waker().wake_by_ref();
        assert_eq!(waiting.await.unwrap(), 7);
    }
}
