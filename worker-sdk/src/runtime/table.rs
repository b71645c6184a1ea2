//! All calls that the worker holds, by call id.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_protocol::headers::Credit;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::running::{EndReason, Running};

/// How long a cancel is kept that overtook its call on another subject.
const EARLY_CANCEL_LIFE: Duration = Duration::from_secs(5);
/// Most early cancels that are kept.
const MAX_EARLY_CANCELS: usize = 1024;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    calls: Mutex<Calls>,
    // Changed under the lock alone, read without it.
    count: AtomicUsize,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    // Attempts of one call share its id and differ in their reply subject.
    by_id: HashMap<String, Vec<Arc<Running>>>,
    early_cancels: HashMap<String, (Instant, String)>,
}

/// Why a call is not taken into the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// The same attempt is held already: the message arrived twice.
    Duplicate,
    /// It was cancelled before it arrived.
    Cancelled(String),
}

impl Table {
    /// Holds a call until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>, call: Arc<Running>) -> Result<Held, NotHeld> {
        let mut calls = self.calls.lock();
        // An idle worker has no ticks that would forget it.
        if let Some((at, reason)) = calls.early_cancels.get(&call.call_id)
            && Instant::now() < *at + EARLY_CANCEL_LIFE
        {
            return Err(NotHeld::Cancelled(reason.clone()));
        }
        let attempts = calls.by_id.entry(call.call_id.clone()).or_default();
        if attempts.iter().any(|other| other.reply == call.reply) {
            return Err(NotHeld::Duplicate);
        }
        attempts.push(call.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        drop(calls);
        Ok(Held {
            table: self.clone(),
            call,
        })
    }

    fn release(&self, call: &Arc<Running>) {
        let mut calls = self.calls.lock();
        if let Some(attempts) = calls.by_id.get_mut(&call.call_id) {
            attempts.retain(|other| !Arc::ptr_eq(other, call));
            if attempts.is_empty() {
                calls.by_id.remove(&call.call_id);
            }
        }
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// How many calls are held.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until no call is held.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Listens from here on, so that the last call cannot end between the look and the wait.
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn holds(&self, call_id: &str) -> bool {
        self.calls.lock().by_id.contains_key(call_id)
    }

    /// Cancels all attempts of a call; remembers the cancel if there is none.
    pub(crate) fn cancel(&self, call_id: &str, reason: &str, now: Instant) {
        let mut calls = self.calls.lock();
        if let Some(attempts) = calls.by_id.get(call_id).cloned() {
            drop(calls);
            for call in attempts {
                call.end(EndReason::Cancelled(reason.to_owned()));
            }
            return;
        }
        let early = &mut calls.early_cancels;
        if early.len() >= MAX_EARLY_CANCELS {
            early.retain(|_, (at, _)| now < *at + EARLY_CANCEL_LIFE);
        }
        if early.len() < MAX_EARLY_CANCELS {
            early.insert(call_id.to_owned(), (now, reason.to_owned()));
        }
    }

    /// Passes a grant on to all attempts of a call.
    pub(crate) fn grant(&self, call_id: &str, credit: Credit, now: Instant) {
        let attempts = self.calls.lock().by_id.get(call_id).cloned();
        for call in attempts.unwrap_or_default() {
            call.grant(credit, now);
        }
    }

    /// Ends every held call for this reason.
    pub(crate) fn end_all(&self, reason: &EndReason) {
        for call in self.all() {
            call.end(reason.clone());
        }
    }

    /// The connection broke: items may be lost, so no stream goes on.
    pub(crate) fn lose_streams(&self) {
        for call in self.all().into_iter().filter(|call| call.is_stream()) {
            call.end(EndReason::StreamLost(
                "the worker's connection to the broker broke",
            ));
        }
    }

    /// Ends what is over time; returns the calls whose beat is due.
    pub(crate) fn tick(&self, now: Instant) -> Vec<Arc<Running>> {
        let mut due = self.all();
        due.retain(|call| {
            call.enforce_limits(now);
            call.take_beat(now)
        });
        let early = &mut self.calls.lock().early_cancels;
        early.retain(|_, (at, _)| now < *at + EARLY_CANCEL_LIFE);
        due
    }

    fn all(&self) -> Vec<Arc<Running>> {
        let calls = self.calls.lock();
        calls.by_id.values().flatten().cloned().collect()
    }
}

/// A call in the table. Dropping it, also by a panic, lets the call go.
#[derive(Debug)]
pub(crate) struct Held {
    table: Arc<Table>,
    pub(crate) call: Arc<Running>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.call.silence();
        self.table.release(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::super::running::{Opening, opening};
    use super::*;
    use sluice_protocol::function::ResponseType;

    fn call(id: &str, reply: &str) -> Arc<Running> {
        Arc::new(Running::new(Opening {
            call_id: id.into(),
            reply: Some(reply.into()),
            ..opening(ResponseType::Stream, None)
        }))
    }

    #[test]
    fn a_cancel_hits_all_attempts_and_no_other_call() {
        let table = Arc::new(Table::default());
        let held: Vec<Held> = [("a", "1"), ("a", "2"), ("b", "1")]
            .map(|(id, reply)| table.hold(call(id, reply)).unwrap())
            .into();
        assert_eq!(
            table.hold(call("a", "1")).unwrap_err(),
            NotHeld::Duplicate,
            "one attempt, delivered twice"
        );
        table.cancel("a", "bored", Instant::now());
        let cancelled: Vec<bool> = held.iter().map(|h| h.call.cancel.is_cancelled()).collect();
        assert_eq!(cancelled, [true, true, false]);
        assert_eq!(table.len(), 3);
        drop(held);
        assert_eq!((table.len(), table.holds("a")), (0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_that_overtakes_its_call_is_remembered_for_seconds() {
        let table = Arc::new(Table::default());
        table.cancel("a", "gone", Instant::now());
        assert_eq!(
            table.hold(call("a", "1")).unwrap_err(),
            NotHeld::Cancelled("gone".into())
        );
        table.tick(Instant::now() + EARLY_CANCEL_LIFE);
        assert!(table.hold(call("a", "1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_worker_forgets_early_cancels_too() {
        let table = Arc::new(Table::default());
        for n in 0..2 * MAX_EARLY_CANCELS {
            table.cancel(&n.to_string(), "gone", Instant::now());
        }
        tokio::time::advance(EARLY_CANCEL_LIFE).await;
        assert!(table.hold(call("0", "1")).is_ok(), "no tick has run");
        table.cancel("new", "gone", Instant::now());
        let remembered = table.hold(call("new", "1")).unwrap_err();
        assert_eq!(
            remembered,
            NotHeld::Cancelled("gone".into()),
            "there is room again"
        );
    }

    #[tokio::test]
    async fn it_tells_when_the_last_call_has_gone() {
        let table = Arc::new(Table::default());
        table.empty().await;
        let held = table.hold(call("a", "1")).unwrap();
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { table.empty().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap();
    }

    #[test]
    fn a_stranger_cannot_fill_the_memory_with_cancels() {
        let table = Table::default();
        for n in 0..5000 {
            table.cancel(&n.to_string(), "", Instant::now());
        }
        assert_eq!(table.calls.lock().early_cancels.len(), MAX_EARLY_CANCELS);
    }
}
