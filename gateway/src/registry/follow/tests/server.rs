//! A broker of the test's own, on a port that it keeps when it restarts.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sluice_broker::{Broker, BrokerOptions, RunningBroker};
use tokio::time::{Duration, Instant, sleep};

use super::LIMIT;

/// A port that no other test takes, also while its server is down; below those that the system
/// gives to outgoing connections.
struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    fn lease() -> Self {
        let dir = std::env::temp_dir().join("sluice-e2e-ports");
        std::fs::create_dir_all(&dir).unwrap();
        loop {
            let number = rand::random_range(12_000..32_000);
            let lock = File::create(dir.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                let _lock = lock;
                return Self { number, _lock };
            }
        }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// A real nats-server; ended when dropped.
struct Nats(Child);

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

enum Running {
    Nats { _process: Nats },
    Embedded(RunningBroker),
    Down,
}

/// A broker, real or embedded.
pub(super) struct Server {
    port: Port,
    nats: Option<PathBuf>,
    running: Running,
}

impl Server {
    pub(super) async fn embedded() -> Self {
        Self::start(None).await
    }

    /// A real nats-server; `None`, said aloud, where there is none to test with.
    pub(super) async fn nats() -> Option<Self> {
        let program = nats_server();
        if program.is_none() {
            assert!(
                std::env::var_os("SLUICE_REQUIRE_ALL").is_none(),
                "no nats-server: set SLUICE_NATS_SERVER or run scripts/setup"
            );
            eprintln!("skipped: no nats-server");
        }
        Some(Self::start(Some(program?)).await)
    }

    async fn start(nats: Option<PathBuf>) -> Self {
        let mut server = Self {
            port: Port::lease(),
            nats,
            running: Running::Down,
        };
        server.up().await;
        server
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    /// Starts it. While another test starts a process, that one holds a copy of our old listener
    /// for a moment: so the port may have to be tried again.
    pub(super) async fn up(&mut self) {
        let end = Instant::now() + LIMIT;
        while !self.try_up().await {
            assert!(
                Instant::now() < end,
                "port {} stays taken",
                self.port.number
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_up(&mut self) -> bool {
        let address = self.port.address();
        let Some(program) = &self.nats else {
            let broker = Broker::spawn(address, BrokerOptions::default()).await;
            let Ok(broker) = broker else { return false };
            self.running = Running::Embedded(broker);
            return true;
        };
        let process = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut nats = Nats(process.unwrap());
        loop {
            if TcpStream::connect(address).is_ok() {
                self.running = Running::Nats { _process: nats };
                return true;
            }
            if nats.0.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it without a farewell.
    pub(super) async fn down(&mut self) {
        if let Running::Embedded(broker) = std::mem::replace(&mut self.running, Running::Down) {
            broker.shutdown().await;
        }
    }
}

fn nats_server() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/nats-server");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&paths).map(|dir| dir.join("nats-server"));
    let named = std::env::var_os("SLUICE_NATS_SERVER").map(PathBuf::from);
    named
        .into_iter()
        .chain([fetched])
        .chain(in_path)
        .find(|path| path.is_file())
}
