//! How the demo worker reaches the broker: what any worker in production should let its operator say.

use std::path::PathBuf;

use async_nats::ConnectOptions;
use clap::Args;
use sluice_worker::WorkerBuilder;

/// Address, credentials, TLS.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// The broker; several of one cluster are joined by commas.
    #[arg(long, env = sluice_worker::NATS_URL_ENV, default_value = sluice_worker::DEFAULT_NATS_URL)]
    pub(crate) nats: String,
    /// The user of this service at the broker.
    #[arg(long, env = "SLUICE_NATS_USER", requires = "password")]
    user: Option<String>,
    /// Password of `user`.
    #[arg(long, env = "SLUICE_NATS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Seed of the service's NKey.
    #[arg(long, env = "SLUICE_NATS_NKEY", hide_env_values = true)]
    nkey: Option<String>,
    /// File with NATS credentials (JWT and seed).
    #[arg(long, env = "SLUICE_NATS_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// File with the certificates to trust, PEM.
    #[arg(long, env = "SLUICE_NATS_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// File with this worker's certificate, PEM.
    #[arg(long, env = "SLUICE_NATS_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with its key, PEM.
    #[arg(long, env = "SLUICE_NATS_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A server without TLS is refused; a `tls://` address says the same.
    #[arg(long, env = "SLUICE_NATS_TLS_REQUIRE")]
    tls_require: bool,
    /// TLS begins before the server's greeting (`handshake_first` there).
    #[arg(long, env = "SLUICE_NATS_TLS_FIRST")]
    tls_first: bool,
    /// What inboxes begin with, where NATS permissions name them.
    #[arg(long, env = "SLUICE_NATS_INBOX_PREFIX")]
    inbox_prefix: Option<String>,
}

impl Broker {
    /// For a worker.
    pub(crate) fn apply(&self, worker: WorkerBuilder) -> WorkerBuilder {
        let mut worker = worker.connect(&self.nats);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            worker = worker.user_password(user, password);
        }
        if let Some(seed) = &self.nkey {
            worker = worker.nkey(seed);
        }
        if let Some(path) = &self.credentials {
            worker = worker.credentials_file(path);
        }
        if let Some(path) = &self.tls_ca {
            worker = worker.tls_ca(path);
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            worker = worker.tls_client(certificate, key);
        }
        if self.tls_require {
            worker = worker.require_tls();
        }
        if self.tls_first {
            worker = worker.tls_first();
        }
        match &self.inbox_prefix {
            Some(prefix) => worker.inbox_prefix(prefix),
            None => worker,
        }
    }

    /// The addresses, one by one.
    pub(crate) fn servers(&self) -> Vec<&str> {
        self.nats.split(',').map(str::trim).collect()
    }

    /// For a client beside it.
    pub(crate) async fn client(&self) -> Result<ConnectOptions, String> {
        let mut connect = ConnectOptions::new().require_tls(self.tls_require);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            connect = connect.user_and_password(user.clone(), password.clone());
        }
        if let Some(seed) = &self.nkey {
            connect = connect.nkey(seed.trim().to_owned());
        }
        if let Some(path) = &self.credentials {
            let read = connect.credentials_file(path).await;
            connect = read.map_err(|e| format!("{}: {e}", path.display()))?;
        }
        if let Some(path) = &self.tls_ca {
            connect = connect.add_root_certificates(path.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        if self.tls_first {
            connect = connect.tls_first();
        }
        Ok(match &self.inbox_prefix {
            Some(prefix) => connect.custom_inbox_prefix(prefix),
            None => connect,
        })
    }
}
