//! How a connection is made: to one server, through sentinels, to a cluster.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisResult,
    TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;

use super::Connection;
use crate::config::{RedisMode, RedisOptions, without_password};

/// The options can never work.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no address.
    #[error("redis.url: there is none")]
    NoAddress,
    /// A file cannot be read.
    #[error("{option}: cannot read {path}: {reason}")]
    File {
        /// Which option names it.
        option: &'static str,
        /// Its path.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// Addresses, names or certificates are not usable.
    #[error("redis: {0}")]
    Unusable(#[from] redis::RedisError),
}

/// How to reach Redis.
pub(super) struct Target {
    way: Way,
    shown: String,
    patience: Duration,
}

enum Way {
    Single(Client),
    // Asking the sentinels changes what it knows of them.
    Sentinel(Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

impl Target {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, OpenError> {
        // Redis' client takes the process' provider; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A new connection takes several round trips, more with TLS.
        let patience = (options.timeout * 10).max(Duration::from_secs(1));
        let certificates = certificates(options)?;
        let way = match options.mode {
            RedisMode::Standalone => Way::Single(single(options, certificates)?),
            RedisMode::Sentinel => Way::Sentinel(Mutex::new(sentinel(options, certificates)?)),
            RedisMode::Cluster => Way::Cluster(cluster(options, certificates, patience)?),
        };
        let shown = match &options.url {
            Some(url) => without_password(url),
            None => options.nodes.join(","),
        };
        Ok(Self {
            way,
            shown,
            patience,
        })
    }

    /// How long a new connection and its probe may take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        // Answers are waited for by whoever asks.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(None);
        match &self.way {
            Way::Single(client) => client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .map(Connection::Single),
            Way::Sentinel(client) => client
                .lock()
                .await
                .get_async_connection_with_config(&config)
                .await
                .map(Connection::Single),
            Way::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn single(options: &RedisOptions, tls: TlsCertificates) -> Result<Client, OpenError> {
    let url = options.url.as_deref().ok_or(OpenError::NoAddress)?;
    let mut info: ConnectionInfo = url.parse()?;
    let mut settings = info.redis_settings().clone();
    if let Some(username) = &options.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &options.password {
        settings = settings.set_password(password);
    }
    info = info.set_redis_settings(settings);
    Ok(match info.addr() {
        ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, tls)?,
        _ => Client::open(info)?,
    })
}

fn sentinel(options: &RedisOptions, tls: TlsCertificates) -> Result<SentinelClient, OpenError> {
    let name = options.master.as_deref().unwrap_or_default();
    let addresses = nodes(options)?.into_iter().map(|n| n.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?;
    if options.is_tls() {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(tls.clone())
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(tls);
    }
    if let Some(username) = &options.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &options.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(username) = &options.sentinel_username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &options.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(builder.build()?)
}

fn cluster(
    options: &RedisOptions,
    tls: TlsCertificates,
    patience: Duration,
) -> Result<ClusterClient, OpenError> {
    let mut builder = ClusterClientBuilder::new(nodes(options)?)
        .retries(3)
        .connection_timeout(patience)
        .response_timeout(patience);
    if options.is_tls() {
        builder = builder.tls(TlsMode::Secure).certs(tls);
    }
    if let Some(username) = &options.username {
        builder = builder.username(username);
    }
    if let Some(password) = &options.password {
        builder = builder.password(password);
    }
    Ok(builder.build()?)
}

fn nodes(options: &RedisOptions) -> Result<Vec<ConnectionInfo>, OpenError> {
    if options.nodes.is_empty() {
        return Err(OpenError::NoAddress);
    }
    let nodes = options.nodes.iter().map(|node| node.parse());
    Ok(nodes.collect::<RedisResult<_>>()?)
}

fn certificates(options: &RedisOptions) -> Result<TlsCertificates, OpenError> {
    let client_tls = match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("redis.tls_cert", cert)?,
            client_key: read("redis.tls_key", key)?,
        }),
        _ => None,
    };
    let root_cert = match &options.tls_ca {
        Some(path) => Some(read("redis.tls_ca", path)?),
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|reason| OpenError::File {
        option,
        path: path.display().to_string(),
        reason,
    })
}
