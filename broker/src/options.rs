//! Limits, timers and credentials of a broker.

use std::fmt;
use std::io;
use std::time::Duration;

/// Who may connect.
#[derive(Clone, Default)]
pub enum Auth {
    /// Everyone who can reach the port.
    #[default]
    Open,
    /// Clients that present this token.
    Token(String),
    /// Clients that present this user and password.
    UserPassword {
        /// The user name.
        user: String,
        /// The password, in plain text.
        password: String,
    },
}

impl Auth {
    pub(crate) fn is_required(&self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// Keeps secrets out of logs.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token(..)",
            Self::UserPassword { .. } => "UserPassword(..)",
        })
    }
}

/// How a [`Broker`](crate::Broker) behaves. The defaults are those of `nats-server`, save for
/// `max_subscriptions`, which is unlimited there.
///
/// ```
/// use sluice_broker::{Auth, BrokerOptions};
///
/// let options = BrokerOptions {
///     max_payload: 64 * 1024,
///     auth: Auth::Token("s3cret".into()),
///     ..BrokerOptions::default()
/// };
/// assert_eq!(options.max_control_line, 4096);
/// ```
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The name that clients see in INFO.
    pub server_name: String,
    /// Who may connect.
    pub auth: Auth,
    /// The largest message, headers included, in bytes.
    pub max_payload: usize,
    /// The longest protocol line, in bytes.
    pub max_control_line: usize,
    /// How many clients may be connected at once.
    pub max_connections: usize,
    /// How many subscriptions one connection may hold.
    pub max_subscriptions: usize,
    /// How many bytes may wait for one connection before it is cut as a slow consumer.
    pub max_pending: usize,
    /// How long a connection may be silent before it is pinged.
    pub ping_interval: Duration,
    /// How many pings may stay unanswered before the connection counts as stale.
    pub max_pings_out: u32,
    /// How long a client may take to authenticate, where that is required.
    pub auth_timeout: Duration,
    /// How long the last bytes of a closing connection may take.
    pub close_timeout: Duration,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            server_name: "sluice-broker".to_owned(),
            auth: Auth::Open,
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_connections: 64 * 1024,
            max_subscriptions: 64 * 1024,
            max_pending: 64 * 1024 * 1024,
            ping_interval: Duration::from_secs(120),
            max_pings_out: 2,
            auth_timeout: Duration::from_secs(2),
            close_timeout: Duration::from_secs(2),
        }
    }
}

impl BrokerOptions {
    /// Refuses options that would cut every client.
    pub(crate) fn validate(&self) -> io::Result<()> {
        let reason = if self.max_pending < self.max_payload {
            "max_pending must be at least max_payload"
        } else if self.max_control_line < 64 {
            "max_control_line must be at least 64 bytes"
        } else if self.ping_interval.is_zero() {
            "ping_interval must not be zero"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}
