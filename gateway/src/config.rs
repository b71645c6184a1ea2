//! The configuration of a gateway.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Every option, by section.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[http]`
    pub http: Http,
    /// `[admin]`
    pub admin: Admin,
    /// `[nats]`
    pub nats: Nats,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[registry]`
    pub registry: RegistryOptions,
    /// `[identity]`
    pub identity: IdentityOptions,
    /// `[dispatch]`
    pub dispatch: DispatchOptions,
    /// `[results]`
    pub results: ResultOptions,
    /// `[log]`
    pub log: Log,
    /// `[[function]]`: fixed functions, served by plain NATS responders.
    pub functions: Vec<FixedFunction>,
}

/// The public edge.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Most bytes of a request body.
    pub max_body_bytes: usize,
    /// Most connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// How long a client may take to send a request's header.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Time between comments on a quiet event stream.
    pub sse_keep_alive: Duration,
}

/// The operator's port.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where operators connect.
    pub listen: SocketAddr,
}

/// The broker.
#[derive(Debug, Clone)]
pub struct Nats {
    /// `nats://host:port` or `tls://host:port`; several separated by commas.
    pub url: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Token.
    pub token: Option<String>,
    /// File with NATS credentials (JWT and seed).
    pub credentials: Option<PathBuf>,
    /// File with the certificates to trust, PEM.
    pub tls_ca: Option<PathBuf>,
    /// File with the client's certificate, PEM.
    pub tls_cert: Option<PathBuf>,
    /// File with the client's key, PEM.
    pub tls_key: Option<PathBuf>,
    /// First part of all subjects.
    pub prefix: String,
}

/// The process.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Name among all gateways; empty: made at start.
    pub id: String,
    /// Threads that serve clients; 0: one for each core.
    pub shards: usize,
    /// Most calls at once; more are refused as `overloaded`.
    pub max_in_flight: usize,
    /// Time between "not ready" and "no new connections" at shutdown.
    pub drain_delay: Duration,
    /// Time for calls in flight to end at shutdown.
    pub drain_timeout: Duration,
    /// Whether errors may show internals.
    pub detail_error: bool,
    /// The longest timeout of a call, and what `"infinity"` means.
    pub max_timeout: Duration,
    /// The longest duration of a stream.
    pub max_stream_duration: Duration,
}

/// Which workers may register what.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Whether workers may register without a secret.
    pub open: bool,
    /// Secrets by service.
    pub secrets: BTreeMap<String, String>,
    /// The only services that may register; empty: any.
    pub services: Vec<String>,
    /// An instance is gone after so long without heartbeat.
    pub expiry: Duration,
    /// A function stays known for so long after its last instance.
    pub function_ttl: Duration,
    /// How long refused configs are kept.
    pub refused_ttl: Duration,
}

/// How callers are identified.
#[derive(Debug, Clone, Default)]
pub struct IdentityOptions {
    /// Believe what clients say of themselves. For development.
    pub trust_client_identity: bool,
}

/// How calls reach workers.
#[derive(Debug, Clone)]
pub struct DispatchOptions {
    /// How long a sticky key stays with its instance after its last use.
    pub sticky_ttl: Duration,
    /// Most sticky keys.
    pub sticky_max_keys: usize,
    /// Items that a stream may be ahead of its client.
    pub stream_items: u64,
    /// Bytes that a stream may be ahead of its client.
    pub stream_bytes: u64,
}

/// Results of async calls.
#[derive(Debug, Clone)]
pub struct ResultOptions {
    /// How long a result is kept.
    pub ttl: Duration,
    /// Most results.
    pub max_records: usize,
}

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Levels, as `RUST_LOG` has them.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// A function of the gateway's own config file.
#[derive(Debug, Clone)]
pub struct FixedFunction {
    /// Of which service.
    pub service: String,
    /// The subject that plain NATS responders listen on.
    pub subject: String,
    /// All fields of a registered function.
    pub spec: Value,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: loopback(4000),
            max_body_bytes: 1_000_000,
            max_connections: 20_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            cors_origins: Vec::new(),
            sse_keep_alive: Duration::from_secs(15),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: loopback(4001),
        }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            user: None,
            password: None,
            token: None,
            credentials: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            prefix: sluice_protocol::subject::DEFAULT_PREFIX.to_owned(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            id: String::new(),
            shards: 0,
            max_in_flight: 20_000,
            drain_delay: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(30),
            detail_error: false,
            max_timeout: Duration::from_secs(300),
            max_stream_duration: Duration::from_secs(3600),
        }
    }
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            open: false,
            secrets: BTreeMap::new(),
            services: Vec::new(),
            expiry: Duration::from_secs(18),
            function_ttl: Duration::from_secs(600),
            refused_ttl: Duration::from_secs(24 * 3600),
        }
    }
}

impl Default for DispatchOptions {
    fn default() -> Self {
        Self {
            sticky_ttl: Duration::from_secs(3600),
            sticky_max_keys: 100_000,
            stream_items: 64,
            stream_bytes: 1 << 20,
        }
    }
}

impl Default for ResultOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(600),
            max_records: 100_000,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            json: false,
        }
    }
}
