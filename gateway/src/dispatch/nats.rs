//! The gateway's connection to NATS for all that is not a call: registry, hints, beacons.

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;

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

/// Messages that may wait on a subscription; a full queue drops them.
const QUEUE: usize = 8 * 1024;

/// Connects, and reconnects for ever; returns at once, also when no broker is there yet.
///
/// # Errors
/// When the options can never work.
pub async fn connect(config: &NatsConfig, name: &str) -> Result<Connection, ConnectError> {
    let (sender, state) = watch::channel(BrokerState::default());
    let server = crate::config::without_password(&config.url);
    let on_event = move |event: Event| {
        note(&sender, &event, &server);
        std::future::ready(())
    };
    let options = match &config.credentials {
        Some(path) => sluice_worker::credentials_file(path).map_err(ConnectError::Credentials)?,
        None => ConnectOptions::new(),
    };
    let mut options = options
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .event_callback(on_event)
        .subscription_capacity(QUEUE)
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
    let client = options
        .connect(addresses(config)?)
        .await
        .map_err(|e| refused(config, &e))?;
    Ok(Connection { client, state })
}

/// The servers of the config.
pub(super) fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>, ConnectError> {
    let all = config.url.split(',').map(|url| url.trim().parse());
    all.collect::<Result<_, _>>()
        .map_err(|e: std::io::Error| refused(config, &e))
}

fn refused(config: &NatsConfig, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Connect {
        url: crate::config::without_password(&config.url),
        reason: reason.to_string(),
    }
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
        Event::SlowConsumer(_) => tracing::error!(server, "messages were lost: read too slowly"),
        other => tracing::info!(server, event = %other, "the broker says"),
    }
}

/// Before attempt 1, 2, 3 …: 0, 50 ms, 100 ms … 1 s. The broker comes back to all gateways at once, so
/// spread them a bit.
pub(super) fn reconnect_delay(attempts: usize) -> std::time::Duration {
    let base = (attempts.saturating_sub(1) as u64 * 50).min(1000);
    std::time::Duration::from_millis(base + rand::random_range(0..=base / 4))
}
