//! The listener, and the lifetime of everything behind it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{serve, turn_away};
use crate::options::BrokerOptions;
use crate::refusal::Refusal;
use crate::sublist::Sublist;

/// The pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections of one broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: BrokerOptions,
    pub(crate) server_id: String,
    pub(crate) local_addr: SocketAddr,
    pub(crate) index: Sublist,
}

impl Shared {
    pub(crate) fn new(options: BrokerOptions, local_addr: SocketAddr) -> Self {
        let id = rand::rng()
            .sample_iter(Alphanumeric)
            .take(32)
            .map(char::from)
            .collect();
        Self {
            options,
            server_id: id,
            local_addr,
            index: Sublist::default(),
        }
    }
}

/// A broker that is bound to its port and not running yet.
#[derive(Debug)]
pub struct Broker {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Broker {
    /// Binds the port; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or the options contradict each other.
    pub async fn bind(addr: SocketAddr, options: BrokerOptions) -> io::Result<Self> {
        options.validate()?;
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            listener,
            shared: Arc::new(Shared::new(options, local_addr)),
        })
    }

    /// Where clients connect.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// Serves clients until `shutdown` completes; then stops accepting, writes out what is queued
    /// for each client, and closes. To drop the future closes everything, too.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, shared } = self;
        let stop = CancellationToken::new();
        // Connections run as tasks of their own: none may outlive this future.
        let _guard = stop.clone().drop_guard();
        let connections = TaskTracker::new();

        tracing::info!(addr = %shared.local_addr, "broker listens");
        tokio::select! {
            () = accept_loop(&listener, &shared, &connections, &stop) => {}
            () = shutdown => {}
        }
        drop(listener);
        stop.cancel();
        connections.close();
        // Each limits its own farewell, so this is the same for all of them together.
        let limit = shared.options.close_timeout + Duration::from_secs(1);
        if timeout(limit, connections.wait()).await.is_err() {
            tracing::warn!(
                left = connections.len(),
                "connections did not close in time"
            );
        }
        tracing::info!(addr = %shared.local_addr, "broker stopped");
    }

    /// Binds the port and runs in the background: the short way, for tests.
    ///
    /// # Errors
    ///
    /// As for [`Broker::bind`].
    pub async fn spawn(addr: SocketAddr, options: BrokerOptions) -> io::Result<RunningBroker> {
        let broker = Self::bind(addr, options).await?;
        let addr = broker.local_addr();
        let stop = CancellationToken::new();
        let task = tokio::spawn(broker.run(stop.clone().cancelled_owned()));
        Ok(RunningBroker {
            addr,
            stop,
            task: Some(task),
        })
    }
}

/// A broker in the background. Stops when dropped.
#[derive(Debug)]
pub struct RunningBroker {
    addr: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl RunningBroker {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to give to a NATS client on this machine: `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("nats://{}", SocketAddr::new(ip, self.addr.port()))
    }

    /// Stops it and waits until its connections are closed and its port is free.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(Err(error)) = match self.task.take() {
            Some(task) => Some(task.await),
            None => None,
        } {
            tracing::error!(%error, "broker failed");
        }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept_loop(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    connections: &TaskTracker,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(shared.options.max_connections));
    let mut next_id = 1;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let shared = Arc::clone(shared);
            connections.spawn(async move {
                turn_away(&shared, peer.ip(), stream, Refusal::MaxConnections).await;
            });
            continue;
        };
        let (shared, stop, id) = (Arc::clone(shared), stop.clone(), next_id);
        next_id += 1;
        connections.spawn(async move {
            serve(shared, id, peer.ip(), split(stream), stop).await;
            drop(place);
        });
    }
}

fn split(
    stream: TcpStream,
) -> (
    tokio::net::tcp::OwnedReadHalf,
    tokio::net::tcp::OwnedWriteHalf,
) {
    // Writes are coalesced here; waiting in the kernel would only add latency. A socket that
    // cannot do it still works.
    let _ = stream.set_nodelay(true);
    stream.into_split()
}
