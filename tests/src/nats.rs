//! The broker of a test: ours or a real nats-server, on a port that it keeps over restarts.

use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::Port;
use crate::process::Process;
use crate::{Error, Result, binaries, eventually_within};

/// Which broker a test runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    /// The broker inside the `sluice` binary (`sluice broker`).
    Embedded,
    /// The distribution's nats-server, an older release.
    NatsOld,
    /// A current nats-server.
    NatsCurrent,
}

impl BrokerKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::NatsOld, Self::NatsCurrent];

    /// If its program is there. Under `SLUICE_REQUIRE_ALL` (CI sets it) each counts as there, so that
    /// a missing one fails its tests and is not skipped in silence.
    #[expect(clippy::print_stderr, reason = "a skipped test says so in its output")]
    pub fn is_available(self) -> bool {
        if std::env::var_os("SLUICE_REQUIRE_ALL").is_some() {
            return true;
        }
        self.command()
            .inspect_err(|why| eprintln!("skipped: {self}: {why}"))
            .is_ok()
    }

    /// The program, without arguments that depend on the port.
    fn command(self) -> Result<Command> {
        match self {
            Self::Embedded => {
                let mut command = Command::new(binaries::ours("sluice")?);
                command.arg("broker");
                Ok(command)
            }
            Self::NatsOld => binaries::nats_old().map(Command::new),
            Self::NatsCurrent => binaries::nats_current().map(Command::new),
        }
    }

    fn ready_line(self) -> &'static str {
        match self {
            Self::Embedded => "nats listening on nats://",
            Self::NatsOld | Self::NatsCurrent => "Server is ready",
        }
    }
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded broker",
            Self::NatsOld => "older nats-server",
            Self::NatsCurrent => "current nats-server",
        })
    }
}

/// A running broker; ended when dropped.
pub struct Broker {
    kind: BrokerKind,
    port: Port,
    process: Process,
    /// A nats-server configuration file, and whatever the server writes.
    dir: TempDir,
}

impl Broker {
    /// Starts a broker and waits until it accepts connections.
    pub async fn start(kind: BrokerKind) -> Result<Self> {
        Self::start_with(kind, "").await
    }

    /// [`start`](Self::start) with text for the configuration file of a real nats-server (users,
    /// permissions, `max_payload`). The embedded broker has no such file and takes only `""`.
    pub async fn start_with(kind: BrokerKind, config: &str) -> Result<Self> {
        if kind == BrokerKind::Embedded && !config.is_empty() {
            return Err(Error::new(
                "the embedded broker takes no nats-server configuration",
            ));
        }
        let dir = TempDir::with_prefix("sluice-nats-")
            .map_err(|error| Error::because("folder for nats-server", error))?;
        std::fs::write(dir.path().join("nats.conf"), config)
            .map_err(|error| Error::because("nats.conf", error))?;
        let port = Port::lease()?;
        let process = launch(kind, &port, &dir).await?;
        Ok(Self {
            kind,
            port,
            process,
            dir,
        })
    }

    /// Which broker it is.
    pub fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// Its address; stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `nats://` and its address.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The process, for `kill9`, `freeze`, `thaw` and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// A client of the test's own, for subjects that a test wants to watch or to speak on.
    pub async fn client(&self) -> Result<async_nats::Client> {
        async_nats::connect(self.url())
            .await
            .map_err(|error| Error::because(self.url(), error))
    }

    /// Ends it with SIGTERM and waits for that.
    pub async fn stop(&self) -> Result {
        self.process.terminate()?;
        self.process.wait_exit().await.map(drop)
    }

    /// Starts it again on the same port; ends it first if it still runs.
    pub async fn restart(&mut self) -> Result {
        if self.process.exited().is_none() {
            self.stop().await?;
        }
        let Self {
            kind, port, dir, ..
        } = self;
        let (kind, port, dir) = (*kind, &*port, &*dir);
        // The kernel may hold the port for a moment after a kill.
        let limit = Duration::from_secs(30);
        self.process = eventually_within(limit, "broker restart", || async {
            launch(kind, port, dir).await.map(Some)
        })
        .await?;
        Ok(())
    }
}

async fn launch(kind: BrokerKind, port: &Port, dir: &TempDir) -> Result<Process> {
    let mut command = kind.command()?;
    match kind {
        BrokerKind::Embedded => command.arg("--nats").arg(port.address().to_string()),
        BrokerKind::NatsOld | BrokerKind::NatsCurrent => command
            .args(["-a", "127.0.0.1", "-p", &port.number().to_string(), "-c"])
            .arg(dir.path().join("nats.conf")),
    };
    let process = Process::spawn(kind.to_string(), command)?;
    let ready = kind.ready_line();
    process
        .wait_line(ready, |line| line.contains(ready))
        .await?;
    Ok(process)
}
