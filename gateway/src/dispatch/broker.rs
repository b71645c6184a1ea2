//! The broker, as dispatch sees it: a trait of a few methods.
//!
//! NATS is one implementation ([`super::wire`]); the tests drive everything above it with a
//! scripted one.

use std::borrow::Cow;
use std::fmt::Debug;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::headers::Headers;
use crate::registry::connection::BrokerState;

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// Where to.
    pub subject: Cow<'a, str>,
    /// Where answers are expected.
    pub reply: Option<String>,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

impl<'a> Outgoing<'a> {
    /// A message without headers.
    #[must_use]
    pub fn bare(subject: impl Into<Cow<'a, str>>, reply: Option<String>, body: Bytes) -> Self {
        Self {
            subject: subject.into(),
            reply,
            headers: Headers::default(),
            body,
        }
    }

    /// The same message, which borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Outgoing<'static> {
        Outgoing {
            subject: Cow::Owned(self.subject.into_owned()),
            reply: self.reply,
            headers: self.headers,
            body: self.body,
        }
    }
}

/// The message did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection now.
    #[error("there is no connection to the broker")]
    NotConnected,
    /// Too much waits to be written; there is room again after [`Broker::room`].
    #[error("the broker takes messages more slowly than they come")]
    Full,
}

/// Publishes messages; replies come in through the [`super::inbox::Inbox`].
pub trait Broker: Debug + Send + Sync {
    /// Hands a message to the connection, or says why not, at once.
    ///
    /// # Errors
    /// Without a connection, or when too much waits.
    fn send(&self, message: &Outgoing<'_>) -> Result<(), PublishError>;

    /// Resolves when it is worth trying again after [`PublishError::Full`].
    fn room(&self) -> BoxFuture<'_, ()>;

    /// Resolves when the broker has processed all that was published before, and its answers to
    /// that (no responders) are in the inbox.
    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>>;

    /// The state of the connection now.
    fn state(&self) -> BrokerState;

    /// The largest message that the broker takes, headers included, in bytes.
    fn max_payload(&self) -> usize;
}

impl dyn Broker {
    /// Hands a message over, waiting for room where there is none. Never waits for a lost
    /// connection to come back.
    ///
    /// # Errors
    /// Without a connection.
    pub async fn publish(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        loop {
            match self.send(message) {
                Err(PublishError::Full) => self.room().await,
                other => return other,
            }
        }
    }
}
