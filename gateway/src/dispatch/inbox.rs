//! The reply subjects of one shard, and who waits behind each.
//!
//! One wildcard subscription serves all calls. A reply token is `<slot>-<secret>`: the slot finds
//! the waiter without hashing, the secret (24 hex digits) cannot be guessed and is never used
//! again, so a late, duplicate or forged reply finds nobody and is counted and dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use slab::Slab;

use super::mailbox::{Bounds, Delivery, Mailbox};

/// 96 random bits in hex: compared as they are written.
type Secret = [u8; SECRET_DIGITS];
const SECRET_DIGITS: usize = 24;
/// Room for a slot's number: more calls than this many digits say never wait at once.
const SLOT_DIGITS: usize = 8;

#[derive(Debug)]
struct Slot {
    secret: Secret,
    epoch: u64,
    mailbox: Arc<Mailbox>,
}

/// Counts of replies that found nobody.
#[derive(Debug, Default)]
pub struct InboxStats {
    /// The token's slot is free, or another call's: late or forged.
    pub unknown: AtomicU64,
    /// The call had its final reply already, or overflowed.
    pub surplus: AtomicU64,
}

/// All calls of one shard that wait for replies.
#[derive(Debug)]
pub struct Inbox {
    prefix: String,
    // The shard's own thread takes it, so nobody contends for it.
    slots: Mutex<Slab<Slot>>,
    /// What was dropped.
    pub stats: InboxStats,
}

/// A place in the inbox: dropping it gives the reply subject up for ever.
#[derive(Debug)]
pub struct Ticket {
    inbox: Arc<Inbox>,
    key: usize,
    secret: Secret,
    mailbox: Arc<Mailbox>,
}

impl Inbox {
    /// An inbox for replies below `subject`, as [`sluice_protocol::Subjects::inbox`] builds it.
    #[must_use]
    pub fn new(subject: &str) -> Arc<Self> {
        Arc::new(Self {
            prefix: format!("{subject}."),
            slots: Mutex::default(),
            stats: InboxStats::default(),
        })
    }

    /// What to subscribe.
    #[must_use]
    pub fn subscription(&self) -> String {
        format!("{}>", self.prefix)
    }

    /// Opens a reply subject that nobody has used before, for a message of the connection's
    /// `epoch` ([`crate::registry::connection::BrokerState`]).
    #[must_use]
    pub fn open(self: &Arc<Self>, bounds: Bounds, epoch: u64) -> Ticket {
        let secret = crate::random::digits();
        let mailbox = Arc::new(Mailbox::new(bounds));
        let key = self.slots.lock().insert(Slot {
            secret,
            epoch,
            mailbox: mailbox.clone(),
        });
        Ticket {
            inbox: self.clone(),
            key,
            secret,
            mailbox,
        }
    }

    /// Hands a delivery to whoever waits on `subject`, which need not be one of ours, nor text.
    pub fn deliver(&self, subject: &[u8], delivery: Delivery) {
        let Some(mailbox) = self.find(subject) else {
            self.stats.unknown.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !mailbox.push(delivery) {
            self.stats.surplus.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells everybody who waits since `epoch` or longer that the connection broke or is back:
    /// whoever began on the new connection has lost nothing.
    pub fn broadcast(&self, delivery: &Delivery, epoch: u64) {
        let all: Vec<_> = self
            .slots
            .lock()
            .iter()
            .filter(|(_, slot)| slot.epoch <= epoch)
            .map(|(_, slot)| slot.mailbox.clone())
            .collect();
        for mailbox in all {
            mailbox.push(delivery.clone());
        }
    }

    /// How many calls wait now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, subject: &[u8]) -> Option<Arc<Mailbox>> {
        let token = subject.strip_prefix(self.prefix.as_bytes())?;
        let (slot, secret) = token.split_last_chunk::<SECRET_DIGITS>()?;
        let key = slot_of(slot.strip_suffix(b"-")?)?;
        let slots = self.slots.lock();
        slots
            .get(key)
            .filter(|slot| slot.secret == *secret)
            .map(|slot| slot.mailbox.clone())
    }
}

impl Ticket {
    /// The reply subject.
    #[must_use]
    pub fn subject(&self) -> String {
        let secret = std::str::from_utf8(&self.secret).unwrap_or_default();
        let prefix = &self.inbox.prefix;
        // A formatter would cost more than all the rest of it.
        let mut subject = String::with_capacity(prefix.len() + SLOT_DIGITS + 1 + secret.len());
        subject.push_str(prefix);
        push_hex(&mut subject, self.key);
        subject.push('-');
        subject.push_str(secret);
        subject
    }

    /// Where its replies are.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

/// A slot's number, as [`push_hex`] writes it.
fn slot_of(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > SLOT_DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as usize)
    })
}

fn push_hex(text: &mut String, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        text.push(char::from(b"0123456789abcdef"[number >> (4 * digit) & 0xf]));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.inbox.slots.lock().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        items: 8,
        bytes: 1000,
    };

    #[test]
    fn replies_find_their_ticket_only() {
        let inbox = Inbox::new("_INBOX.sluice.g.0");
        let (a, b) = (inbox.open(BOUNDS, 1), inbox.open(BOUNDS, 1));
        inbox.deliver(b.subject().as_bytes(), Delivery::NoResponders);
        assert_eq!(a.mailbox().try_next(), None);
        assert_eq!(b.mailbox().try_next(), Some(Delivery::NoResponders));
    }

    #[test]
    fn a_break_is_told_to_those_that_it_concerns() {
        let inbox = Inbox::new("_INBOX.sluice.g.0");
        let (before, after) = (inbox.open(BOUNDS, 1), inbox.open(BOUNDS, 2));
        inbox.broadcast(&Delivery::Disconnected, 1);
        assert_eq!(before.mailbox().try_next(), Some(Delivery::Disconnected));
        assert_eq!(after.mailbox().try_next(), None);
    }

    #[test]
    fn each_of_many_is_found() {
        let inbox = Inbox::new("_INBOX.sluice.g.0");
        let tickets: Vec<_> = (0..300).map(|_| inbox.open(BOUNDS, 1)).collect();
        assert!(tickets[299].subject().starts_with("_INBOX.sluice.g.0.12b-"));
        for ticket in &tickets {
            inbox.deliver(ticket.subject().as_bytes(), Delivery::NoResponders);
            assert_eq!(ticket.mailbox().try_next(), Some(Delivery::NoResponders));
        }
        assert_eq!(inbox.stats.unknown.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn late_and_forged_replies_are_counted_and_dropped() {
        let inbox = Inbox::new("_INBOX.sluice.g.0");
        let first = inbox.open(BOUNDS, 1);
        let late = first.subject();
        drop(first);
        let second = inbox.open(BOUNDS, 1);
        assert_eq!(inbox.len(), 1);
        let real = second.subject();
        let secret = real.rsplit_once('-').unwrap().1;
        for slot in ["zz", "", "+0", "000000000", "\u{b9}", "1", "0-0"] {
            let subject = format!("_INBOX.sluice.g.0.{slot}-{secret}");
            inbox.deliver(subject.as_bytes(), Delivery::NoResponders);
        }
        for subject in [
            late.as_str(),
            "_INBOX.sluice.g.0.0-000000000000000000000000",
            "_INBOX.sluice.g.0.zz-1",
            "_INBOX.sluice.g.0.0",
            "other",
            "",
        ] {
            inbox.deliver(subject.as_bytes(), Delivery::NoResponders);
        }
        assert_eq!(second.mailbox().try_next(), None);
        assert_eq!(inbox.stats.unknown.load(Ordering::Relaxed), 13);
    }
}
