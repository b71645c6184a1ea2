//! The broker, as dispatch sees it: a trait of a few methods.
//!
//! NATS is one implementation ([`super::nats`]); the tests drive everything above it with a
//! scripted one.

use std::fmt::Debug;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::registry::connection::BrokerState;

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// Where answers are expected.
    pub reply: Option<String>,
    /// Its headers; empty: none.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The message did not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection now.
    #[error("there is no connection to the broker")]
    NotConnected,
    /// The connection's task refused it.
    #[error("the broker's client refused the message: {0}")]
    Refused(String),
}

/// Publishes messages; replies come in through the [`super::inbox::Inbox`].
pub trait Broker: Debug + Send + Sync {
    /// Hands a message to the connection. Never waits for a lost connection to come back.
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PublishError>>;

    /// Resolves when the broker has processed all that was published before, and its answers to
    /// that (no responders) are in the inbox.
    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>>;

    /// The state of the connection now.
    fn state(&self) -> BrokerState;

    /// The largest message that the broker takes, headers included, in bytes.
    fn max_payload(&self) -> usize;
}
