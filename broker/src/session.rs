//! What each operation of a client does. Synchronous: it never waits, and holds one lock at most.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};

use crate::client::Client;
use crate::connect::Connect;
use crate::parse::{Op, Parser, Publish};
use crate::refusal::Refusal;
use crate::route::{Router, retire};
use crate::server::Shared;
use crate::subject::{is_literal, is_subscribable};
use crate::subscription::Subscription;

/// One client's conversation.
pub(crate) struct Session {
    shared: Arc<Shared>,
    pub(crate) client: Arc<Client>,
    parser: Parser,
    router: Router,
    /// What the client asked for in its last CONNECT.
    connect: Connect,
    is_authorized: bool,
    /// Whether anything came in since the last tick.
    heard: bool,
    pings_out: u32,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, client: Arc<Client>) -> Self {
        let options = &shared.options;
        Self {
            parser: Parser::new(options.max_control_line, options.max_payload),
            is_authorized: !options.auth.is_required(),
            shared,
            client,
            router: Router::default(),
            connect: Connect::default(),
            heard: false,
            pings_out: 0,
        }
    }

    /// Carries out every complete operation in `input` and takes it out. An error ends the
    /// connection.
    pub(crate) fn process(&mut self, input: &mut BytesMut) -> Result<(), Refusal> {
        self.heard = true;
        let mut done = 0;
        let result = loop {
            match self.parser.next(&input[done..]) {
                Ok(Some((op, len))) => {
                    done += len;
                    match self.apply(&op) {
                        Err(refusal) if refusal.closes() => break Err(refusal),
                        Err(refusal) => self.send(refusal.line().as_bytes()),
                        Ok(()) => {}
                    }
                }
                Ok(None) => break Ok(()),
                Err(refusal) => break Err(refusal),
            }
        };
        input.advance(done);
        self.router.wakes.wake_all();
        result
    }

    /// How many bytes of input the operation at hand has in all, once that is known.
    pub(crate) fn needed(&self) -> usize {
        self.parser.needed()
    }

    /// A receiver that is far behind, if the last input was for one.
    pub(crate) fn take_backlogged(&mut self) -> Option<Arc<Client>> {
        self.router.wakes.take_backlogged()
    }

    /// How long until the first tick.
    pub(crate) fn first_tick(&self) -> Duration {
        let options = &self.shared.options;
        if self.is_authorized {
            options.ping_interval
        } else {
            options.auth_timeout.min(options.ping_interval)
        }
    }

    /// Looks whether the client is still there; called at each ping interval.
    pub(crate) fn tick(&mut self) -> Result<(), Refusal> {
        if !self.is_authorized {
            return Err(Refusal::AuthTimeout);
        }
        if std::mem::take(&mut self.heard) {
            self.pings_out = 0;
            return Ok(());
        }
        if self.pings_out >= self.shared.options.max_pings_out {
            return Err(Refusal::Stale);
        }
        self.pings_out += 1;
        self.send(b"PING\r\n");
        self.router.wakes.wake_all();
        Ok(())
    }

    /// Takes the client's subscriptions out of the index.
    pub(crate) fn end(&self) {
        for sub in self.client.take_subscriptions() {
            self.shared.index.remove(&sub);
        }
    }

    fn apply(&mut self, op: &Op<'_>) -> Result<(), Refusal> {
        if !self.is_authorized && !matches!(op, Op::Connect(_)) {
            return Err(Refusal::Authorization);
        }
        match *op {
            Op::Connect(json) => self.connect(json)?,
            Op::Ping => {
                self.send(b"PONG\r\n");
                return Ok(());
            }
            Op::Pong => return Ok(()),
            Op::Publish(ref publish) => return self.publish(publish),
            Op::Subscribe {
                subject,
                queue,
                sid,
            } => self.subscribe(subject, queue, sid)?,
            Op::Unsubscribe { sid, max } => self.unsubscribe(sid, max),
        }
        self.confirm();
        Ok(())
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Refusal> {
        self.connect = Connect::parse(json, &self.shared.options.auth)?;
        self.is_authorized = true;
        self.client.set_takes_headers(self.connect.headers);
        Ok(())
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<(), Refusal> {
        if publish.header_len.is_some() && !self.connect.headers {
            return Err(Refusal::HeadersNotEnabled);
        }
        if self.connect.pedantic && !is_literal(publish.subject) {
            return Err(Refusal::InvalidPublishSubject);
        }
        // Before the message: a client that subscribed itself reads them in this order.
        self.confirm();
        let (index, client) = (&self.shared.index, &*self.client);
        let delivered = self
            .router
            .publish(index, client, self.connect.echo, publish);
        if !delivered
            && self.connect.no_responders
            && let Some(reply) = publish.reply
        {
            self.router.no_responders(index, client, reply);
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Result<(), Refusal> {
        if !is_subscribable(subject) {
            return Err(Refusal::InvalidSubject);
        }
        // As in NATS: an id that is in use stays with its first subscription.
        if self.client.subscription(sid).is_some() {
            return Ok(());
        }
        if self.client.subscription_count() >= self.shared.options.max_subscriptions {
            return Err(Refusal::MaxSubscriptions);
        }
        let sub = Arc::new(Subscription::new(
            Arc::clone(&self.client),
            subject,
            queue,
            sid,
        ));
        self.client.add_subscription(Arc::clone(&sub));
        self.shared.index.insert(sub);
        Ok(())
    }

    fn unsubscribe(&mut self, sid: &[u8], max: u64) {
        let Some(sub) = self.client.subscription(sid) else {
            return;
        };
        // In order with deliveries: what is answered after this comes after the last message.
        if self.client.outbox.in_order(|| sub.limit(max)) {
            retire(&self.shared.index, &sub);
        }
    }

    /// `+OK`, for those who want it.
    fn confirm(&mut self) {
        if self.connect.verbose {
            self.send(b"+OK\r\n");
        }
    }

    fn send(&mut self, line: &[u8]) {
        let pushed = self
            .client
            .outbox
            .push(|batch| batch.reserve(line.len()).put_slice(line));
        self.router.wakes.note(&self.client, pushed);
    }
}
