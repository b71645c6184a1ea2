//! A gateway as a process of its own: `sluice serve`, or `sluice dev`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::http::Client;
use crate::ports::Port;
use crate::process::Process;
use crate::{Error, Result, binaries, eventually};

/// How to start a gateway.
#[derive(Clone, Default)]
pub struct GatewayBuilder {
    name: String,
    options: BTreeMap<String, BTreeMap<String, Value>>,
    toml: String,
    env: Vec<(String, String)>,
    certificates: Option<Arc<Certificates>>,
}

impl GatewayBuilder {
    /// Speaks TLS with the `server` of these certificates; its own clients trust their authority and
    /// show the `client`'s.
    pub fn tls(mut self, certificates: &Arc<Certificates>) -> Self {
        self.certificates = Some(certificates.clone());
        self.option("http", "tls_cert_file", certificates.text("server.pem"))
            .option("http", "tls_key_file", certificates.text("server.key"))
    }

    /// How messages call it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// One option of the configuration file; the last word on an option wins.
    pub fn option(mut self, section: &str, option: &str, value: impl Into<Value>) -> Self {
        self.options
            .entry(section.to_owned())
            .or_default()
            .insert(option.to_owned(), value.into());
        self
    }

    /// Lines for the end of the configuration file, for tables that [`option`](Self::option) cannot
    /// say.
    pub fn toml(mut self, lines: &str) -> Self {
        self.toml.push_str(lines);
        self.toml.push('\n');
        self
    }

    /// An environment variable.
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Starts it and waits until it listens, not until it is ready.
    pub async fn start(self) -> Result<Gateway> {
        let dir = TempDir::with_prefix("sluice-gateway-")
            .map_err(|error| Error::because("folder for the gateway", error))?;
        let (http, admin) = (Port::lease()?, Port::lease()?);
        let config = self
            .clone()
            .option("http", "listen", http.address().to_string())
            .option("admin", "listen", admin.address().to_string())
            .render();
        std::fs::write(dir.path().join("sluice.toml"), config)
            .map_err(|error| Error::because("sluice.toml", error))?;
        let process = self.launch(&dir).await?;
        Ok(Gateway {
            builder: self,
            http,
            admin,
            process,
            dir,
        })
    }

    /// The configuration file. Strings, numbers, booleans and lists are written alike in JSON and
    /// TOML.
    fn render(&self) -> String {
        let mut file = String::new();
        for (section, options) in &self.options {
            let _ = writeln!(file, "[{section}]");
            for (option, value) in options {
                let _ = writeln!(file, "{option} = {value}");
            }
        }
        file.push_str(&self.toml);
        file
    }

    fn scheme(&self) -> &'static str {
        if self.certificates.is_some() {
            "https"
        } else {
            "http"
        }
    }

    async fn launch(&self, dir: &TempDir) -> Result<Process> {
        let mut command = Command::new(binaries::ours("sluice")?);
        command
            .args(["serve", "--config"])
            .arg(dir.path().join("sluice.toml"));
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        let process = Process::spawn(&self.name, command)?;
        let http = format!("http listening on {}://", self.scheme());
        process.wait_address(&http).await?;
        process.wait_address("admin listening on http://").await?;
        Ok(process)
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    builder: GatewayBuilder,
    http: Port,
    admin: Port,
    process: Process,
    dir: TempDir,
}

impl Gateway {
    /// A gateway for this broker, with an open registry and clients that are believed who they are.
    pub fn builder(nats_url: impl Into<String>) -> GatewayBuilder {
        GatewayBuilder::default()
            .name("gateway")
            .option("nats", "url", nats_url.into())
            .option("registry", "open", true)
            .option("identity", "trust_client_identity", true)
            .option("admin", "anonymous_read", true)
    }

    /// Where clients connect; stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// `http://`, or `https://` where it has a certificate, and the address for clients.
    pub fn url(&self) -> String {
        format!("{}://{}", self.builder.scheme(), self.address())
    }

    /// `http://` and the address of the admin API.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin.address())
    }

    /// The process, for `kill9`, `drain`, `freeze`, `thaw` and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// An HTTP client of its public edge.
    pub fn client(&self) -> Result<Client> {
        match &self.builder.certificates {
            Some(certificates) => Client::tls(self.url(), certificates, |http| http),
            None => Client::new(self.url()),
        }
    }

    /// If `/health/ready` answers 200 now.
    pub async fn is_ready(&self) -> bool {
        matches!(self.client(), Ok(client) if client.status_of("/health/ready").await.ok() == Some(200))
    }

    /// Waits until `/health/ready` answers 200.
    pub async fn wait_ready(&self) -> Result {
        let client = self.client()?;
        let ready = eventually("/health/ready answers 200", || async {
            match client.status_of("/health/ready").await? {
                200 => Ok(()),
                status => Err(Error::new(format!("it answers {status}"))),
            }
        });
        ready
            .await
            .map_err(|error| self.process.failure(&error.to_string()))
    }

    /// Starts it again at the same addresses with the same configuration; kills it first if it
    /// still runs.
    pub async fn restart(&mut self) -> Result {
        if self.process.exited().is_none() {
            self.process.kill9()?;
        }
        self.process = self.builder.launch(&self.dir).await?;
        Ok(())
    }
}

/// `sluice dev`: gateway, broker and demo worker in one process; killed when dropped.
pub struct Dev {
    /// Where clients connect.
    pub http: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// The embedded broker.
    pub nats: SocketAddr,
    /// The process.
    pub process: Process,
}

impl Dev {
    /// Starts `sluice dev` on ports that it picks, with these arguments more (`--no-demo`).
    pub async fn start(args: &[&str]) -> Result<Self> {
        let mut command = Command::new(binaries::ours("sluice")?);
        let any = "127.0.0.1:0";
        command
            .args(["dev", "--http", any, "--admin", any, "--nats", any])
            .args(args);
        let process = Process::spawn("sluice dev", command)?;
        let http = process.wait_address("http listening on http://").await?;
        let admin = process.wait_address("admin listening on http://").await?;
        let nats = process.wait_address("nats listening on nats://").await?;
        Ok(Self {
            http,
            admin,
            nats,
            process,
        })
    }

    /// An HTTP client of its public edge.
    pub fn client(&self) -> Result<Client> {
        Client::new(format!("http://{}", self.http))
    }
}
