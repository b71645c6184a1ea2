//! NATS as the broker: one connection a shard, one wildcard subscription for all replies.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, HeaderName, Message, StatusCode};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use sluice_protocol::Frame;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, Outgoing, PublishError};
use super::inbox::Inbox;
use super::mailbox::{Bounds, Delivery};
use crate::config::Nats as NatsConfig;
use crate::registry::connection::BrokerState;

/// The broker cannot be set up: a matter of configuration, not of who is up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credentials file cannot be read.
    #[error("nats.credentials: {0}")]
    Credentials(std::io::Error),
    /// The address or TLS files are not usable.
    #[error("nats.url {url}: {reason}")]
    Connect {
        /// Where to.
        url: String,
        /// What the client said.
        reason: String,
    },
}

/// A connection that reports its state.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The client; usable from any runtime.
    pub client: Client,
    /// Its state; changes when the connection breaks or comes back.
    pub state: watch::Receiver<BrokerState>,
}

/// Messages that may wait to be read, for replies: many and small, and a full queue drops them.
pub const REPLY_QUEUE: usize = 256 * 1024;
/// The same for registry messages: few, and some of them large.
pub const REGISTRY_QUEUE: usize = 8 * 1024;

/// Connects, and reconnects for ever; returns at once, also when no broker is there yet.
/// `queue` is how many messages may wait on a subscription.
///
/// # Errors
/// When the options can never work.
pub async fn connect(
    config: &NatsConfig,
    name: &str,
    queue: usize,
) -> Result<Connection, ConnectError> {
    let (sender, state) = watch::channel(BrokerState::default());
    let server = crate::config::without_password(&config.url);
    let on_event = move |event: Event| {
        note(&sender, &event, &server);
        std::future::ready(())
    };
    let mut options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .event_callback(on_event)
        .subscription_capacity(queue)
        .reconnect_delay_callback(reconnect_delay);
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(token) = &config.token {
        options = options.token(token.clone());
    }
    if let Some(seed) = &config.nkey {
        options = options.nkey(seed.clone());
    }
    if let Some(path) = &config.credentials {
        let text = std::fs::read_to_string(path).map_err(ConnectError::Credentials)?;
        options = options
            .credentials(&text)
            .map_err(ConnectError::Credentials)?;
    }
    if let Some(path) = &config.tls_ca {
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    if config.tls_require {
        options = options.require_tls(true);
    }
    if config.tls_first {
        options = options.tls_first();
    }
    let servers: Vec<&str> = config.url.split(',').map(str::trim).collect();
    let refused = |reason: String| ConnectError::Connect {
        url: config.url.clone(),
        reason,
    };
    let addresses = servers
        .iter()
        .map(|s| s.parse::<async_nats::ServerAddr>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| refused(e.to_string()))?;
    let client = options
        .connect(addresses)
        .await
        .map_err(|e| refused(e.to_string()))?;
    Ok(Connection { client, state })
}

fn note(state: &watch::Sender<BrokerState>, event: &Event, server: &str) {
    match event {
        Event::Connected => {
            state.send_modify(|s| {
                s.connected = true;
                s.epoch += 1;
            });
            tracing::info!(server, "connected to the broker");
        }
        Event::Disconnected | Event::Closed => {
            state.send_modify(|s| s.connected = false);
            tracing::warn!(
                server,
                "the connection to the broker broke; connecting again"
            );
        }
        // One for each attempt to connect: the break itself was told.
        Event::ClientError(error) => {
            tracing::debug!(server, %error, "the broker cannot be reached")
        }
        Event::SlowConsumer(_) => tracing::error!(server, "replies were lost: read too slowly"),
        other => tracing::info!(server, event = %other, "the broker says"),
    }
}

/// 0, 50 ms, 100 ms … 1 s: the broker comes back to all gateways at once, so spread them a bit.
fn reconnect_delay(attempts: usize) -> std::time::Duration {
    let base = (attempts.saturating_sub(1) as u64 * 50).min(1000);
    std::time::Duration::from_millis(base + rand::random_range(0..=base / 4))
}

/// The broker of one shard.
#[derive(Debug)]
pub struct NatsBroker {
    connection: Connection,
    inbox: Arc<Inbox>,
}

impl NatsBroker {
    /// Subscribes the inbox and feeds it until `stop`; replies are read on the current runtime.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn start(
        connection: Connection,
        inbox: Arc<Inbox>,
        stop: CancellationToken,
    ) -> Result<Self, PublishError> {
        let replies = connection
            .client
            .subscribe(inbox.subscription())
            .await
            .map_err(|e| PublishError::Refused(e.to_string()))?;
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(read_replies(replies, inbox.clone())),
        );
        let state = connection.state.clone();
        tokio::spawn(stop.run_until_cancelled_owned(tell_of_breaks(state, inbox.clone())));
        Ok(Self { connection, inbox })
    }
}

impl NatsBroker {
    /// Where its replies go.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The client below.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.connection.client
    }
}

impl Broker for NatsBroker {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async move {
            if !self.state().connected {
                return Err(PublishError::NotConnected);
            }
            let client = &self.connection.client;
            let Outgoing {
                subject,
                reply,
                headers,
                body,
            } = message;
            let sent = match reply {
                Some(reply) => {
                    client
                        .publish_with_reply_and_headers(subject, reply, headers, body)
                        .await
                }
                None => client.publish_with_headers(subject, headers, body).await,
            };
            sent.map_err(|e| PublishError::Refused(e.to_string()))
        })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async {
            // The client's own flush only writes to the socket. A message to ourselves comes
            // back after everything that the broker had to say before it.
            let bounds = Bounds {
                items: 2,
                bytes: 16,
            };
            let ticket = self.inbox.open(bounds, self.state().epoch);
            let message = Outgoing {
                subject: ticket.subject(),
                reply: None,
                headers: async_nats::HeaderMap::new(),
                body: bytes::Bytes::new(),
            };
            self.publish(message).await?;
            match ticket.mailbox().next().await {
                Delivery::Frame(_) => Ok(()),
                _ => Err(PublishError::NotConnected),
            }
        })
    }

    fn state(&self) -> BrokerState {
        *self.connection.state.borrow()
    }

    fn max_payload(&self) -> usize {
        self.connection.client.max_payload()
    }
}

async fn read_replies(mut replies: async_nats::Subscriber, inbox: Arc<Inbox>) {
    while let Some(message) = replies.next().await {
        let (subject, delivery) = read(message);
        inbox.deliver(&subject, delivery);
    }
}

fn read(message: Message) -> (async_nats::Subject, Delivery) {
    let Message {
        subject,
        status,
        headers,
        payload,
        ..
    } = message;
    if status == Some(StatusCode::NO_RESPONDERS) {
        return (subject, Delivery::NoResponders);
    }
    let frame = match &headers {
        None => Frame::decode(|_| None, payload),
        // A static name is looked up as it is: another one would be checked and copied first.
        Some(h) => Frame::decode(
            |name| h.get(HeaderName::from_static(name)).map(|v| v.as_str()),
            payload,
        ),
    };
    (
        subject,
        frame.map_or_else(|e| Delivery::Malformed(e.to_string()), Delivery::Frame),
    )
}

async fn tell_of_breaks(mut state: watch::Receiver<BrokerState>, inbox: Arc<Inbox>) {
    let mut last = *state.borrow_and_update();
    while state.changed().await.is_ok() {
        let now = *state.borrow_and_update();
        // A break that was mended between two looks is a break all the same.
        if last.connected && (!now.connected || now.epoch != last.epoch) {
            inbox.broadcast(&Delivery::Disconnected, last.epoch);
        }
        if now.connected {
            inbox.broadcast(&Delivery::Reconnected, now.epoch.saturating_sub(1));
        }
        last = now;
    }
}
