//! A bulkhead: at most so many calls of one function at once, and a bounded queue before it.
//!
//! Counted in this gateway process, over all its shards. Only functions that declare
//! `max_in_flight` come here, so the lock costs nobody else anything.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The calls of one function that are in flight or wait.
#[derive(Debug, Default)]
pub struct Bulkhead(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    in_flight: u32,
    /// As the last call's config had it: during a deploy configs may differ.
    limit: u32,
    queue: VecDeque<oneshot::Sender<Slot>>,
    /// Whether somebody has given up waiting since the queue was last swept.
    stale: bool,
}

/// A call's place. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Slot(Option<Arc<Bulkhead>>);

/// The queue is full, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A place, at once or later.
#[derive(Debug)]
pub(crate) enum Place {
    Now(Slot),
    /// First come, first served.
    Later(Waiting),
}

/// A place in the queue. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Waiting {
    receiver: oneshot::Receiver<Slot>,
    bulkhead: Arc<Bulkhead>,
}

impl Bulkhead {
    /// Asks for a place among `limit`, or in a queue of `max_queue`.
    pub(crate) fn enter(self: &Arc<Self>, limit: u32, max_queue: u32) -> Result<Place, Full> {
        let waiting = {
            let mut inner = self.0.lock();
            inner.limit = limit;
            // Whoever gave up waiting takes no room. A full queue is not swept for nothing: to
            // refuse a call must stay cheap.
            if std::mem::take(&mut inner.stale) {
                inner.queue.retain(|waiter| !waiter.is_closed());
            }
            if inner.in_flight < limit && inner.queue.is_empty() {
                inner.in_flight += 1;
                return Ok(Place::Now(Slot(Some(self.clone()))));
            }
            if inner.queue.len() >= max_queue as usize {
                return Err(Full);
            }
            let (sender, receiver) = oneshot::channel();
            inner.queue.push_back(sender);
            Waiting {
                receiver,
                bulkhead: self.clone(),
            }
        };
        // The limit may have grown since the others began to wait.
        self.let_in();
        Ok(Place::Later(waiting))
    }

    /// Gives free places to those who have waited longest.
    fn let_in(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut inner = self.0.lock();
                if inner.in_flight >= inner.limit {
                    return;
                }
                let Some(waiter) = inner.queue.pop_front() else {
                    return;
                };
                inner.in_flight += 1;
                waiter
            };
            // Outside of the lock: a slot that nobody takes any more comes back through its drop.
            if let Err(mut slot) = waiter.send(Slot(Some(self.clone()))) {
                slot.0 = None;
                self.0.lock().in_flight -= 1;
            }
        }
    }

    /// Calls in flight, the limit that was last in force, and calls that wait.
    #[must_use]
    pub fn look(&self) -> (u32, u32, usize) {
        let inner = self.0.lock();
        let waiting = inner.queue.iter().filter(|w| !w.is_closed()).count();
        (inner.in_flight, inner.limit, waiting)
    }
}

impl Waiting {
    /// Waits for the place.
    pub(crate) async fn turn(&mut self) -> Slot {
        match (&mut self.receiver).await {
            Ok(slot) => slot,
            // Senders are only dropped unsent when their receiver is gone.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bulkhead.0.lock().stale = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(bulkhead) = self.0.take() {
            bulkhead.0.lock().in_flight -= 1;
            bulkhead.let_in();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(place: Result<Place, Full>) -> Slot {
        match place {
            Ok(Place::Now(slot)) => slot,
            other => panic!("{other:?}"),
        }
    }

    fn later(place: Result<Place, Full>) -> Waiting {
        match place {
            Ok(Place::Later(waiting)) => waiting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_runs_two_wait_and_the_fourth_is_refused() {
        let bulkhead = Arc::new(Bulkhead::default());
        let running = now(bulkhead.enter(1, 2));
        let mut first = later(bulkhead.enter(1, 2));
        let mut second = later(bulkhead.enter(1, 2));
        assert_eq!(bulkhead.enter(1, 2).unwrap_err(), Full);
        assert!(first.receiver.try_recv().is_err(), "nobody has left");
        drop(running);
        let running = first.receiver.try_recv().expect("first come, first served");
        assert!(second.receiver.try_recv().is_err());
        drop(running);
        drop(second.receiver.try_recv().unwrap());
        assert_eq!(bulkhead.look(), (0, 1, 0));
    }

    #[test]
    fn whoever_gives_up_takes_no_room_and_loses_no_place() {
        let bulkhead = Arc::new(Bulkhead::default());
        let running = now(bulkhead.enter(1, 2));
        let gone = later(bulkhead.enter(1, 2));
        let mut waits = later(bulkhead.enter(1, 2));
        drop(gone);
        let mut third = later(bulkhead.enter(1, 2));
        drop(running);
        let slot = waits.receiver.try_recv().unwrap();
        assert!(third.receiver.try_recv().is_err());
        drop(slot);
        // Given, but not looked at any more: the place is free again.
        drop(third);
        assert_eq!(bulkhead.look(), (0, 1, 0));
        drop(now(bulkhead.enter(1, 0)));
    }

    #[test]
    fn a_limit_that_grows_or_shrinks_is_followed() {
        let bulkhead = Arc::new(Bulkhead::default());
        let one = now(bulkhead.enter(1, 5));
        let mut two = later(bulkhead.enter(1, 5));
        let mut three = later(bulkhead.enter(3, 5));
        let (two, three) = (
            two.receiver.try_recv().unwrap(),
            three.receiver.try_recv().unwrap(),
        );
        let mut four = later(bulkhead.enter(1, 5));
        drop((one, two));
        assert!(four.receiver.try_recv().is_err(), "one is still in flight");
        drop(three);
        assert!(four.receiver.try_recv().is_ok());
    }
}
