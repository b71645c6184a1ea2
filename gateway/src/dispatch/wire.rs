//! The connection of one shard to NATS, as dispatch uses it: messages out, replies in, nothing else.
//!
//! It speaks the client protocol itself. A general client hands each message from task to task, by a
//! channel on the way out and another on the way in, and keeps headers in maps; here a publisher
//! appends text to what is to be written next, and a reply is read from where it was received, by
//! one task a shard (ADR 41 says what that gains and what it costs). The registry and everything
//! else that is not on the path of a call use async-nats ([`super::nats`]).

mod dial;
mod link;
mod outbox;
mod parse;
mod servers;
mod sign_in;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::link::Keeper;
use self::outbox::Outbox;
use self::servers::Servers;
use super::broker::{Broker, Outgoing, PublishError};
use super::inbox::Inbox;
use super::mailbox::{Bounds, Delivery};
use super::nats::{self, ConnectError};
use crate::config::Nats;
use crate::registry::connection::BrokerState;

/// Until a server has said what it takes: as NATS is set if nobody changes it.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// The broker of one shard.
#[derive(Debug)]
pub struct NatsBroker {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    state: watch::Receiver<BrokerState>,
}

/// What publishers and the connection's task share.
#[derive(Debug)]
struct Shared {
    outbox: Outbox,
    /// [`BrokerState`] in one word: the epoch, and in the lowest bit whether it is connected.
    state: AtomicU64,
    max_payload: AtomicUsize,
}

impl Shared {
    fn state(&self) -> BrokerState {
        let word = self.state.load(Ordering::Acquire);
        BrokerState {
            connected: word & 1 == 1,
            epoch: word >> 1,
        }
    }

    fn set_state(&self, state: BrokerState) {
        let word = state.epoch << 1 | u64::from(state.connected);
        self.state.store(word, Ordering::Release);
    }
}

impl NatsBroker {
    /// Connects, and reconnects for ever until `stop`, on the current runtime; returns at once, also
    /// when no broker is there yet.
    ///
    /// # Errors
    /// When the addresses are none.
    pub fn start(
        config: &Nats,
        name: &str,
        inbox: Arc<Inbox>,
        stop: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let addresses = nats::addresses(config)?;
        let shared = Arc::new(Shared {
            outbox: Outbox::default(),
            state: AtomicU64::new(0),
            max_payload: AtomicUsize::new(MAX_PAYLOAD),
        });
        let (sender, state) = watch::channel(BrokerState::default());
        let keeper = Keeper {
            options: config.clone(),
            name: name.to_owned(),
            servers: Servers::new(addresses, config.tls_require),
            shared: shared.clone(),
            inbox: inbox.clone(),
            state: sender,
        };
        tokio::spawn(stop.run_until_cancelled_owned(keeper.keep()));
        Ok(Self {
            shared,
            inbox,
            state,
        })
    }

    /// Where its replies go.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The state of the connection, for those who wait for it to change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }
}

impl Broker for NatsBroker {
    fn send(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        self.shared.outbox.push(message)
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.shared.outbox.room().boxed()
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async {
            // A message to ourselves comes back after everything that the broker had to say before it.
            let bounds = Bounds {
                items: 2,
                bytes: 16,
            };
            let ticket = self.inbox.open(bounds, self.state().epoch);
            let message = Outgoing::bare(ticket.subject(), None, Bytes::new());
            let broker: &dyn Broker = self;
            broker.publish(&message).await?;
            match ticket.mailbox().next().await {
                Delivery::Frame(_) => Ok(()),
                _ => Err(PublishError::NotConnected),
            }
        })
    }

    fn state(&self) -> BrokerState {
        self.shared.state()
    }

    fn max_payload(&self) -> usize {
        self.shared.max_payload.load(Ordering::Relaxed)
    }
}
