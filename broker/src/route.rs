//! Takes one message to its subscribers.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::Batch;
use crate::client::{Client, WakeList};
use crate::outbox::Pushed;
use crate::parse::Publish;
use crate::subject::is_routable;
use crate::sublist::{Matches, Sublist};
use crate::subscription::{Admission, Subscription};

/// Bodies from this size on are shared by all receivers; smaller ones are cheaper to copy.
const SHARE_FROM: usize = 4096;

/// Looks for a receiver that has not ended meanwhile.
const MAX_PICKS: usize = 8;

const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// Routes messages on behalf of one client; keeps what can be used again from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Router {
    matches: Matches,
    pub(crate) wakes: WakeList,
}

impl Router {
    /// Delivers to everyone who subscribed; returns whether there was anyone.
    pub(crate) fn publish(
        &mut self,
        index: &Sublist,
        sender: &Client,
        echo: bool,
        publish: &Publish<'_>,
    ) -> bool {
        if !is_routable(publish.subject) {
            return false;
        }
        // A member of a queue group may end between being picked and being given the message:
        // then another one gets it. Who ended is not found again.
        for _ in 0..MAX_PICKS {
            index.find(publish.subject, &mut self.matches, |sub| {
                sub.is_live() && (echo || sub.client.id != sender.id)
            });
            if self.matches.subs.is_empty() {
                return false;
            }
            if self.deliver(index, publish) {
                return true;
            }
        }
        false
    }

    /// Tells the sender of a request that nobody listens: on the reply subject, through its own
    /// subscriptions, of which a wildcard inbox is one.
    pub(crate) fn no_responders(&mut self, index: &Sublist, sender: &Client, reply: &[u8]) {
        if !is_routable(reply) {
            return;
        }
        index.find_plain(reply, &mut self.matches, |sub| {
            sub.is_live() && sub.client.id == sender.id
        });
        let status = Publish {
            subject: reply,
            reply: None,
            header_len: Some(NO_RESPONDERS.len()),
            body: NO_RESPONDERS,
        };
        self.deliver(index, &status);
    }

    /// Delivers to all matches and clears them; whether anybody took it.
    fn deliver(&mut self, index: &Sublist, publish: &Publish<'_>) -> bool {
        let message = Message {
            publish,
            shared: OnceCell::new(),
        };
        let mut delivered = false;
        for sub in self.matches.subs.drain(..) {
            match message.send_to(&sub, &mut self.wakes) {
                Admission::Deliver => delivered = true,
                Admission::DeliverLast => {
                    delivered = true;
                    retire(index, &sub);
                }
                Admission::Ended => {}
            }
        }
        delivered
    }
}

/// Takes a subscription that ended out of the books.
pub(crate) fn retire(index: &Sublist, sub: &Arc<Subscription>) {
    index.remove(sub);
    sub.client.forget_subscription(sub);
}

struct Message<'a> {
    publish: &'a Publish<'a>,
    /// The body on its own, made for the first receiver that shares it.
    shared: OnceCell<Bytes>,
}

impl Message<'_> {
    fn send_to(&self, sub: &Subscription, wakes: &mut WakeList) -> Admission {
        let mut admission = Admission::Ended;
        let pushed = sub.client.outbox.push(|batch| {
            admission = sub.admit();
            if admission != Admission::Ended {
                self.encode(sub, batch);
            }
        });
        wakes.note(&sub.client, pushed);
        match pushed {
            Pushed::Queued { .. } | Pushed::Overflowed => admission,
            Pushed::Closed => Admission::Ended,
        }
    }

    /// `MSG subject sid [reply] size`, or `HMSG .. header_size size`, and the body.
    fn encode(&self, sub: &Subscription, batch: &mut Batch) {
        let Publish {
            subject,
            reply,
            header_len,
            body,
        } = *self.publish;
        // A client that cannot read headers gets the payload without.
        let header_len = header_len.filter(|_| sub.client.takes_headers());
        let skipped = if header_len.is_some() {
            0
        } else {
            self.publish.header_len.unwrap_or(0)
        };
        let body_len = body.len() - skipped;

        let line_len = subject.len() + sub.sid.len() + reply.map_or(0, <[u8]>::len) + 64;
        let is_shared = body_len >= SHARE_FROM;
        let out = batch.reserve(line_len + if is_shared { 0 } else { body_len });
        out.put_slice(if header_len.is_some() {
            b"HMSG ".as_slice()
        } else {
            b"MSG "
        });
        put_word(out, subject);
        put_word(out, &sub.sid);
        if let Some(reply) = reply {
            put_word(out, reply);
        }
        let mut number = itoa::Buffer::new();
        if let Some(header_len) = header_len {
            put_word(out, number.format(header_len).as_bytes());
        }
        out.put_slice(number.format(body_len).as_bytes());
        out.put_slice(b"\r\n");
        if is_shared {
            let shared = self.shared.get_or_init(|| Bytes::copy_from_slice(body));
            batch.share(shared.slice(skipped..));
            batch.reserve(2).put_slice(b"\r\n");
        } else {
            out.put_slice(&body[skipped..]);
            out.put_slice(b"\r\n");
        }
    }
}

fn put_word(out: &mut BytesMut, word: &[u8]) {
    out.put_slice(word);
    out.put_u8(b' ');
}
