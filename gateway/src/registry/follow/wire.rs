//! The follower's outgoing messages, and the inbox where answers to them arrive.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use sluice_protocol::registry::Message;
use sluice_protocol::{Subjects, subject};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::connection::BrokerState;
use super::super::pulls::ConfigKey;
use super::super::table::Effects;

/// The client takes messages at once while it is connected; this bounds the wait if it is not.
const SEND_WITHIN: Duration = Duration::from_secs(1);

/// To what a message in the inbox is the answer.
#[derive(Debug)]
pub(super) enum Answer {
    Discovered,
    Pulled(ConfigKey),
}

/// The way out. Nothing is sent while the broker is away: it would be late and misleading.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    broker: watch::Receiver<BrokerState>,
    subjects: Subjects,
    inbox: String,
    discover_token: String,
    pulls: HashMap<String, ConfigKey>,
}

impl Wire {
    pub(super) fn new(
        client: Client,
        broker: watch::Receiver<BrokerState>,
        subjects: &Subjects,
        gateway: &str,
    ) -> Self {
        // Beside the shards' inboxes, so that one permission, `_INBOX.<prefix>.<gateway>.>`,
        // covers all that a gateway listens on.
        let gateway = subject::encode_token(gateway);
        Self {
            client,
            broker,
            inbox: format!("_INBOX.{}.{gateway}.registry", subjects.prefix()),
            subjects: subjects.clone(),
            discover_token: String::new(),
            pulls: HashMap::new(),
        }
    }

    /// Where all answers arrive.
    pub(super) fn answers(&self) -> String {
        format!("{}.*", self.inbox)
    }

    /// To what question a message on `subject` is the answer; the latest discover counts, and
    /// each pull once.
    pub(super) fn answer(&mut self, subject: &str) -> Option<Answer> {
        let token = subject
            .strip_prefix(self.inbox.as_str())?
            .strip_prefix('.')?;
        if !token.is_empty() && token == self.discover_token {
            return Some(Answer::Discovered);
        }
        self.pulls.remove(token).map(Answer::Pulled)
    }

    /// Asks all workers who they are.
    pub(super) async fn discover(&mut self, gateway: &str) {
        // Our subscriptions stand before the question in the same connection; the flush makes
        // the broker spread them before any worker hears it.
        self.flush().await;
        self.discover_token = token();
        let reply = format!("{}.{}", self.inbox, self.discover_token);
        let message = Message::Discover {
            gateway: gateway.to_owned(),
        };
        let subject = self.subjects.discover();
        self.publish(subject, Some(reply), message.to_json()).await;
    }

    /// Says that this gateway is there.
    pub(super) async fn beacon(&self, body: Vec<u8>) {
        self.publish(self.subjects.beacon(), None, body).await;
    }

    /// Sends answers and pulls.
    pub(super) async fn send(&mut self, effects: Effects) {
        for (to, message) in effects.replies {
            self.publish(to, None, message.to_json()).await;
        }
        for key in effects.pulls {
            let token = token();
            let reply = format!("{}.{token}", self.inbox);
            let subject = self.subjects.pull(&key.service, &key.hash);
            self.pulls.insert(token, key);
            self.publish(subject, Some(reply), Vec::new()).await;
        }
    }

    /// Forgets pulls that are not waited for any more.
    pub(super) fn forget_pulls(&mut self, waited_for: impl Fn(&ConfigKey) -> bool) {
        self.pulls.retain(|_, key| waited_for(key));
    }

    /// Waits until all is on its way, or for a bounded time.
    pub(super) async fn flush(&self) {
        if self.broker.borrow().connected
            && timeout(SEND_WITHIN, self.client.flush()).await.is_err()
        {
            tracing::debug!("the broker's connection did not flush in time");
        }
    }

    async fn publish(&self, subject: String, reply: Option<String>, body: Vec<u8>) {
        if !self.broker.borrow().connected {
            return;
        }
        let body = Bytes::from(body);
        let sent = timeout(SEND_WITHIN, async {
            match reply {
                Some(reply) => self.client.publish_with_reply(subject, reply, body).await,
                None => self.client.publish(subject, body).await,
            }
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a registry message was not sent"),
            Err(_) => {
                tracing::warn!("a registry message was not sent: the broker does not take it")
            }
        }
    }
}

/// 128 random bits: who was not asked cannot answer.
fn token() -> String {
    crate::random::text::<32>()
}
