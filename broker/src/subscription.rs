//! One subscription of one client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::client::Client;

/// A subscription, shared by its client, the index, and whoever is delivering to it.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) client: Arc<Client>,
    pub(crate) subject: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    pub(crate) sid: Box<[u8]>,
    /// Where it stands in its leaf, so that removal needs no search. Guarded by the index's lock.
    slot: AtomicUsize,
    /// Messages delivered, and after how many it ends (0: never). Guarded by the outbox's lock.
    delivered: AtomicU64,
    max: AtomicU64,
    /// Set once it ended; written under the outbox's lock, so that nothing is delivered after the
    /// answer to whatever ended it. Also read without the lock, as a hint.
    ended: AtomicBool,
}

/// What became of an attempt to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The subscription takes the message.
    Deliver,
    /// It takes the message as its last.
    DeliverLast,
    /// It ended before.
    Ended,
}

impl Subscription {
    pub(crate) fn new(
        client: Arc<Client>,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Self {
        Self {
            client,
            subject: subject.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
            slot: AtomicUsize::new(0),
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: usize) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// Whether a message may be sent its way. It may end before the message gets there.
    pub(crate) fn is_live(&self) -> bool {
        !self.ended.load(Ordering::Relaxed) && self.client.outbox.is_open()
    }

    /// Counts one message. Call it under the outbox's lock.
    pub(crate) fn admit(&self) -> Admission {
        if self.ended.load(Ordering::Relaxed) {
            return Admission::Ended;
        }
        let delivered = self.delivered.load(Ordering::Relaxed) + 1;
        self.delivered.store(delivered, Ordering::Relaxed);
        if delivered == self.max.load(Ordering::Relaxed) {
            self.ended.store(true, Ordering::Relaxed);
            return Admission::DeliverLast;
        }
        Admission::Deliver
    }

    /// Ends it after `max` messages in all, counted from its beginning; 0 means now. Returns
    /// whether it is over already. Call it under the outbox's lock.
    pub(crate) fn limit(&self, max: u64) -> bool {
        self.max.store(max, Ordering::Relaxed);
        if max <= self.delivered.load(Ordering::Relaxed) {
            self.ended.store(true, Ordering::Relaxed);
        }
        self.ended.load(Ordering::Relaxed)
    }
}
