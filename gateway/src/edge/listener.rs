//! Sockets: accepting, serving HTTP/1.1 and HTTP/2, draining.
//!
//! Nothing here knows what a request means, and nothing but `accept` and the TLS handshake knows
//! that a connection is TCP.

mod accept;
mod activity;
mod alarms;
mod connection;
mod plaintext;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio_util::sync::CancellationToken;

pub(super) use self::activity::Busy;
use self::connection::Server;
pub use self::tls::check as check_tls;
use super::http::Edge;
use super::service::CallService;

/// Connections that may wait to be accepted, for each listener.
const BACKLOG: i32 = 4096;
/// A client that vanished without a word is noticed after about two minutes.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// After the time to drain: time for tasks to notice.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a listener's shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Connections that were open when it began.
    pub open: usize,
    /// Connections that were cut with requests in flight, because the time was up.
    pub cut: usize,
}

/// `count` listeners on one address, between which the system spreads connections. With port 0
/// they share one free port.
///
/// # Errors
/// When the address cannot be bound, also because another process listens there.
pub fn bind_shards(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Listeners that share a port would also share it with another gateway, by mistake: this
    // first socket does not share, so that the mistake shows.
    let probe = socket(address, false)?;
    let bound = probe.local_addr()?.as_socket().unwrap_or(address);
    if count <= 1 {
        return Ok(vec![listen(probe)?]);
    }
    drop(probe);
    (0..count).map(|_| listen(socket(bound, true)?)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections of the last run to fade away.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves clients until `drain` is triggered and what is in flight then has ended, at most for
/// `gateway.drain_timeout`.
///
/// # Errors
/// When the listener cannot be used; nothing was served then.
pub async fn run<S: CallService>(
    listener: TcpListener,
    edge: Edge<S>,
    drain: CancellationToken,
) -> io::Result<Drained> {
    let (time, interval, retries) = KEEP_ALIVE;
    let keep_alive = TcpKeepalive::new().with_time(time).with_interval(interval);
    // Connections inherit it.
    SockRef::from(&listener).set_tcp_keepalive(&keep_alive.with_retries(retries))?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let gone = CancellationToken::new();
    let _ends_with_this = gone.clone().drop_guard();
    let tls = tls::load(&edge.parts().config.http, gone).map_err(io::Error::other)?;
    let server = Arc::new(Server::new(edge, drain));
    accept::run(listener, &server, tls.as_ref()).await;
    let open = server.open();
    tracing::debug!(open, "no new connections; waiting for those that are open");
    let limit = server.edge().parts().config.gateway.drain_timeout;
    let (tasks, force) = (&server.edge().tasks, &server.edge().force);
    tasks.close();
    if tokio::time::timeout(limit, tasks.wait()).await.is_err() {
        force.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, tasks.wait()).await;
    }
    let cut = server.cut();
    Ok(Drained { open, cut })
}
