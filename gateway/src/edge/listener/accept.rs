//! Accepts connections until the drain begins.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::connection::Server;
use super::tls::Identity;
use crate::edge::identity::Peer;
use crate::edge::service::CallService;
use crate::telemetry::names::Series;

/// Pause after the system had no descriptor or memory for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Returns when the drain has begun and all that had connected until then is taken in.
pub(super) async fn run<S: CallService>(
    listener: TcpListener,
    server: &Arc<Server<S>>,
    tls: Option<&Identity>,
) {
    let connections = server.edge().parts().capacity.connections.clone();
    let drain = server.drain().clone();
    let accept = async {
        loop {
            // Those who find no place wait in the system's queue.
            let Ok(permit) = connections.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => serve(server, stream, peer, tls, permit),
                Err(error) => pause(&error).await,
            }
        }
    };
    drain.run_until_cancelled(accept).await;
    // Closing a listener resets whoever waits in its queue.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok(permit) = connections.clone().try_acquire_owned() {
        let accepted = listener.accept();
        let accepted = accepted.and_then(|(stream, peer)| Ok((into_tokio(stream)?, peer)));
        let Ok((stream, peer)) = accepted else {
            return;
        };
        serve(server, stream, peer, tls, permit);
    }
}

fn into_tokio(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

fn serve<S: CallService>(
    server: &Arc<Server<S>>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Identity>,
    permit: tokio::sync::OwnedSemaphorePermit,
) {
    if let Some(recorder) = server.edge().recorder() {
        recorder.inc(Series::ConnectionsAccepted);
    }
    // Answers are written whole: waiting for more to send only delays them. A connection that
    // refuses the option is about to fail anyway.
    let _ = stream.set_nodelay(true);
    let peer = Some(Peer(peer.ip()));
    match tls {
        None => server.serve(stream, peer, permit),
        Some(identity) => server.serve_tls(stream, peer, identity.borrow().clone(), permit),
    }
}

async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    // Those concern one client, who is gone.
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "cannot accept connections now");
        tokio::time::sleep(PAUSE).await;
    }
}
