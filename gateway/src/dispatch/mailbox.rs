//! Where the replies to one attempt wait to be read: bounded, with one reader.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use sluice_protocol::Frame;
use sluice_protocol::batch::{Batch, Items};

/// What can happen to an attempt from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A reply.
    Frame(Frame),
    /// The broker says that nobody listens on the call's subject.
    NoResponders,
    /// A reply that makes no sense; why.
    Malformed(String),
    /// More replies than anybody asked for.
    Overflow,
    /// The connection to the broker broke; replies may be lost.
    Disconnected,
    /// The connection is back.
    Reconnected,
}

/// Most that may wait in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Deliveries.
    pub items: usize,
    /// Bytes of their payloads.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// What is left of the batch that is being read. It comes before the queue. Items share their
    /// batch's bytes, and no other is read in part: what is held beyond the bytes that are counted
    /// is one message at most.
    reading: Option<Reading>,
    /// Deliveries that wait; each item of a batch is one.
    count: usize,
    bytes: usize,
    closed: bool,
}

/// A batch of which some items were read.
#[derive(Debug)]
struct Reading {
    next: u64,
    items: Items,
    last: bool,
}

/// A queue of deliveries. Writers never wait: what is too much becomes one `Overflow`.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    waker: AtomicWaker,
    bounds: Bounds,
}

/// As how many deliveries one counts, and the bytes of its payload.
fn size(delivery: &Delivery) -> (usize, usize) {
    match delivery {
        Delivery::Frame(Frame::Result(p) | Frame::Item { payload: p, .. }) => (1, p.bytes.len()),
        Delivery::Frame(Frame::Items { items, .. }) => (items.len(), items.payload_len()),
        _ => (1, 0),
    }
}

impl State {
    fn has_room(&self, (count, bytes): (usize, usize), bounds: Bounds) -> bool {
        self.count.saturating_add(count) <= bounds.items
            && self.bytes.saturating_add(bytes) <= bounds.bytes
    }

    /// False if it was too much, or a part of it.
    fn put(&mut self, delivery: Delivery, bounds: Bounds) -> bool {
        if self.closed {
            return false;
        }
        // What comes after a beat says as much: a reader that is slow must not pile them up.
        if matches!(delivery, Delivery::Frame(_))
            && matches!(self.queue.back(), Some(Delivery::Frame(Frame::Beat { .. })))
        {
            self.queue.pop_back();
            self.count -= 1;
        }
        let size = size(&delivery);
        match delivery {
            delivery if self.has_room(size, bounds) => self.add(delivery, size),
            // Some of them may fit.
            Delivery::Frame(Frame::Items { first, items, last }) if items.len() > 1 => {
                return self.put_each(first, &items, last, bounds);
            }
            _ => {
                self.add(Delivery::Overflow, (1, 0));
                return false;
            }
        }
        true
    }

    fn add(&mut self, delivery: Delivery, (count, bytes): (usize, usize)) {
        self.closed = match &delivery {
            Delivery::Frame(frame) => frame.is_final(),
            Delivery::Overflow | Delivery::NoResponders | Delivery::Malformed(_) => true,
            Delivery::Disconnected | Delivery::Reconnected => false,
        };
        self.count += count;
        self.bytes += bytes;
        self.queue.push_back(delivery);
    }

    fn put_each(&mut self, first: u64, items: &Batch, last: bool, bounds: Bounds) -> bool {
        let mut reading = Reading::of(first, items, last);
        std::iter::from_fn(|| reading.take()).all(|item| self.put(item, bounds))
    }

    fn take(&mut self) -> Option<Delivery> {
        if let Some(item) = self.reading.as_mut().and_then(Reading::take) {
            return Some(item);
        }
        match self.queue.pop_front()? {
            Delivery::Frame(Frame::Items { first, items, last }) => {
                self.reading.insert(Reading::of(first, &items, last)).take()
            }
            delivery => Some(delivery),
        }
    }
}

impl Reading {
    fn of(first: u64, items: &Batch, last: bool) -> Self {
        Self {
            next: first,
            items: items.items(),
            last,
        }
    }

    fn take(&mut self) -> Option<Delivery> {
        let payload = self.items.next()?;
        let seq = self.next;
        self.next += 1;
        let last = self.last && self.items.len() == 0;
        Some(Delivery::Frame(Frame::Item { seq, payload, last }))
    }
}

impl Mailbox {
    /// An empty mailbox.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            state: Mutex::default(),
            waker: AtomicWaker::new(),
            bounds,
        }
    }

    /// Puts a delivery in; a batch as the items that it holds, each of which counts. Returns false
    /// if it was dropped, or a part of it, because a final one or an overflow stands before it.
    pub fn push(&self, delivery: Delivery) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let taken = state.put(delivery, self.bounds);
        drop(state);
        self.waker.wake();
        taken
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.state.lock().count == 0
    }

    /// The next delivery, if there is one.
    pub fn try_next(&self) -> Option<Delivery> {
        let mut state = self.state.lock();
        let delivery = state.take()?;
        let (count, bytes) = size(&delivery);
        state.count -= count;
        state.bytes -= bytes;
        Some(delivery)
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Delivery> {
        if let Some(delivery) = self.try_next() {
            return Poll::Ready(delivery);
        }
        self.waker.register(cx.waker());
        // Something may have come in between the look and the registration.
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next delivery. Cancel-safe; for one reader.
    pub async fn next(&self) -> Delivery {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use sluice_protocol::batch::BatchBuilder;
    use sluice_protocol::{Encoding, Payload};

    fn item(seq: u64, bytes: usize) -> Delivery {
        Delivery::Frame(Frame::Item {
            seq,
            payload: Payload::json(vec![b'1'; bytes]),
            last: false,
        })
    }

    fn beat(seq: u64) -> Delivery {
        Delivery::Frame(Frame::Beat {
            instance: "i".into(),
            seq,
        })
    }

    #[test]
    fn nothing_follows_a_final_frame() {
        let mailbox = Mailbox::new(Bounds {
            items: 8,
            bytes: 100,
        });
        let result = Delivery::Frame(Frame::Result(Payload::json("1")));
        assert!(mailbox.push(result.clone()));
        assert!(!mailbox.push(result.clone()));
        assert_eq!(mailbox.try_next(), Some(result));
        assert_eq!(mailbox.try_next(), None);
    }

    #[test]
    fn too_many_items_or_bytes_become_one_overflow() {
        for (items, bytes) in [(2, 100), (10, 2)] {
            let mailbox = Mailbox::new(Bounds { items, bytes });
            assert!(mailbox.push(item(1, 1)));
            assert!(mailbox.push(item(2, 1)));
            assert!(!mailbox.push(item(3, 1)));
            assert!(!mailbox.push(item(4, 1)));
            assert_eq!(mailbox.try_next(), Some(item(1, 1)));
            assert_eq!(mailbox.try_next(), Some(item(2, 1)));
            assert_eq!(mailbox.try_next(), Some(Delivery::Overflow));
            assert_eq!(mailbox.try_next(), None);
        }
    }

    fn batch(first: u64, items: &[&[u8]], last: bool) -> Delivery {
        let mut builder = BatchBuilder::default();
        for item in items {
            assert!(builder.push(item));
        }
        let items = builder.take(Encoding::Json).unwrap();
        Delivery::Frame(Frame::Items { first, items, last })
    }

    #[test]
    fn a_batch_is_read_item_by_item() {
        let mailbox = Mailbox::new(Bounds {
            items: 8,
            bytes: 100,
        });
        assert!(mailbox.push(batch(1, &[b"1"], false)));
        assert!(mailbox.push(beat(1)));
        assert!(mailbox.push(batch(2, &[b"11", b"1"], true)));
        assert!(!mailbox.push(item(4, 1)), "the last item was the end");
        assert_eq!(mailbox.try_next(), Some(item(1, 1)));
        assert_eq!(mailbox.try_next(), Some(item(2, 2)));
        assert_eq!(
            mailbox.try_next(),
            Some(Delivery::Frame(Frame::Item {
                seq: 3,
                payload: Payload::json("1"),
                last: true
            }))
        );
        assert_eq!(mailbox.try_next(), None);
        assert_eq!(mailbox.state.lock().bytes, 0);
    }

    #[test]
    fn each_item_of_a_batch_counts() {
        for (items, bytes) in [(3, 100), (10, 3)] {
            let mailbox = Mailbox::new(Bounds { items, bytes });
            assert!(mailbox.push(batch(1, &[b"1", b"1"], false)));
            assert!(!mailbox.push(batch(3, &[b"1", b"1"], true)));
            assert!(!mailbox.push(item(5, 0)));
            for seq in 1..=3 {
                assert_eq!(mailbox.try_next(), Some(item(seq, 1)));
            }
            assert_eq!(mailbox.try_next(), Some(Delivery::Overflow));
            assert_eq!(mailbox.try_next(), None);
        }
    }

    proptest! {
        /// Lengths of batches, one of which may end the stream; after each so many are read.
        #[test]
        fn batches_are_as_their_items_one_by_one(
            steps in vec((1..6_usize, 0..4_usize, any::<bool>(), 0..5_usize), 1..12),
            items in 1..12_usize,
            bytes in 0..24_usize,
        ) {
            let bounds = Bounds { items, bytes };
            let (whole, single) = (Mailbox::new(bounds), Mailbox::new(bounds));
            let mut seq = 1;
            for (count, size, beats, reads) in steps {
                let body = vec![b'1'; size];
                let last = size == 3 && count == 5;
                let taken = whole.push(batch(seq, &vec![&body[..]; count], last));
                let mut taken_singly = true;
                for index in 1..=count {
                    let last = last && index == count;
                    let payload = Payload::json(body.clone());
                    let item = Frame::Item { seq, payload, last };
                    taken_singly &= single.push(Delivery::Frame(item));
                    seq += 1;
                }
                prop_assert_eq!(taken, taken_singly);
                if beats {
                    prop_assert_eq!(whole.push(beat(seq)), single.push(beat(seq)));
                }
                for _ in 0..reads {
                    prop_assert_eq!(whole.is_empty(), single.is_empty());
                    prop_assert_eq!(whole.try_next(), single.try_next());
                }
            }
            while let Some(delivery) = single.try_next() {
                prop_assert_eq!(whole.try_next(), Some(delivery));
            }
            prop_assert_eq!(whole.try_next(), None);
            let state = whole.state.lock();
            prop_assert_eq!((state.count, state.bytes), (0, 0));
        }
    }

    #[test]
    fn beats_do_not_pile_up() {
        let mailbox = Mailbox::new(Bounds {
            items: 2,
            bytes: 100,
        });
        for seq in 0..1000 {
            assert!(mailbox.push(beat(seq)));
        }
        assert_eq!(mailbox.try_next(), Some(beat(999)));
        assert_eq!(mailbox.try_next(), None);
    }

    #[tokio::test]
    async fn a_reader_is_woken() {
        let mailbox = std::sync::Arc::new(Mailbox::new(Bounds {
            items: 8,
            bytes: 100,
        }));
        let reader = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.next().await }
        });
        tokio::task::yield_now().await;
        mailbox.push(Delivery::NoResponders);
        assert_eq!(reader.await.unwrap(), Delivery::NoResponders);
    }
}
