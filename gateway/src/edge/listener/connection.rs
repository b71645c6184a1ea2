//! One connection, from its first byte to its last.
//!
//! hyper's own timer for headers is set and dropped with each request, and does not cover the
//! bytes that tell HTTP/1 from HTTP/2. So a connection has one timer here instead: until its first
//! request, `http.header_timeout`; then [`IDLE`], looked at once an interval.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Busy};
use super::alarms::{Alarm, Alarms};
use super::tls;
use crate::edge::http::{Body, Edge};
use crate::edge::identity::Peer;
use crate::edge::service::CallService;

/// A connection without requests is closed after this time, or after twice this time at most.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// During the drain, time for a connection that has just come to send its request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// Most bytes of a request's header, and of what is read ahead of a body.
const BUFFER: usize = 64 << 10;
/// HTTP/2: requests at once on one connection; most bytes of a request's headers.
const STREAMS: u32 = 200;
const HEADER_LIST: u32 = 16 << 10;
/// HTTP/2: how often to ask whether the client is still there, and how long to wait for a word.
const PING: Duration = Duration::from_secs(20);

/// What all connections of a listener share.
pub(super) struct Server<S> {
    edge: Edge<S>,
    http: Builder<TokioExecutor>,
    drain: CancellationToken,
    open: AtomicUsize,
    cut: AtomicUsize,
}

impl<S: CallService> Server<S> {
    pub(super) fn new(edge: Edge<S>, drain: CancellationToken) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        // Not `pipeline_flush`: with it hyper takes a response in whole, however slow the client.
        http.http1().header_read_timeout(None).max_buf_size(BUFFER);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_LIST);
        Self {
            edge,
            http,
            drain,
            open: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
        }
    }

    pub(super) fn edge(&self) -> &Edge<S> {
        &self.edge
    }

    pub(super) fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Connections that are open now.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that were cut with requests in flight.
    pub(super) fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// Serves one connection in a task of its own, of whatever kind its stream is.
    pub(super) fn serve<I>(
        self: &Arc<Self>,
        stream: I,
        peer: Option<Peer>,
        permit: OwnedSemaphorePermit,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = self.clone();
        self.open.fetch_add(1, Ordering::Relaxed);
        self.edge.tasks.spawn(async move {
            server.connection(stream, peer).await;
            server.open.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }

    /// As [`serve`](Self::serve), after a TLS handshake, which has as much time as a header.
    pub(super) fn serve_tls(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: Option<Peer>,
        identity: Arc<rustls::ServerConfig>,
        permit: OwnedSemaphorePermit,
    ) {
        let server = self.clone();
        self.open.fetch_add(1, Ordering::Relaxed);
        self.edge.tasks.spawn(async move {
            if let Some(stream) = server.shake_hands(stream, identity).await {
                server.connection(stream, peer).await;
            }
            server.open.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        identity: Arc<rustls::ServerConfig>,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let limit = self.edge.parts().config.http.header_timeout;
        // Nobody waits in the drain for a client that has not even said who it is.
        let late = async {
            self.drain.cancelled().await;
            sleep(FIRST_REQUEST).await;
        };
        tokio::select! {
            result = tls::accept(stream, identity) => match result {
                Ok(stream) => return Some(stream),
                Err(error) => tracing::debug!(%error, "no TLS handshake"),
            },
            () = sleep(limit) => tracing::debug!("the TLS handshake took too long"),
            () = late => {}
            () = self.edge.force.cancelled() => {}
        }
        None
    }

    async fn connection<I>(self: &Arc<Self>, stream: I, peer: Option<Peer>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let (server, begun) = (self.clone(), activity.clone());
        let service =
            service_fn(move |request| server.clone().answer(request, peer, begun.begin()));
        let io = TokioIo::new(stream);
        let mut http = pin!(self.http.serve_connection_with_upgrades(io, service));
        let header_timeout = self.edge.parts().config.http.header_timeout;
        let mut alarms = Alarms::new(
            &self.edge.force,
            &self.drain,
            Instant::now() + header_timeout,
        );
        // How many requests there were when the timer fired last, if none was in flight then.
        let mut known = None;
        let (mut draining, mut closing) = (false, false);
        loop {
            let served = poll_fn(|cx| {
                let polled = http.as_mut().poll(cx);
                // Not before the first request: a client that has just come gets its answer, too.
                if polled.is_pending() && draining && !closing && activity.begun() > 0 {
                    closing = true;
                    http.as_mut().graceful_shutdown();
                    return http.as_mut().poll(cx);
                }
                polled
            });
            let alarm = tokio::select! {
                biased;
                result = served => {
                    if let Err(error) = result {
                        // Clients leave as they like; there is nobody to tell.
                        tracing::debug!(error, "connection ended early");
                    }
                    return;
                }
                alarm = alarms.next() => alarm,
            };
            match alarm {
                Alarm::Force => {
                    self.cut
                        .fetch_add(usize::from(activity.is_busy()), Ordering::Relaxed);
                    return;
                }
                Alarm::Drain => {
                    draining = true;
                    if activity.begun() == 0 {
                        let soon = (Instant::now() + FIRST_REQUEST).min(alarms.deadline());
                        alarms.set_timer(soon);
                    }
                    // Requests that have arrived are read before the connection counts as idle.
                    tokio::task::yield_now().await;
                }
                Alarm::Timer => {
                    let requests = (!activity.is_busy()).then(|| activity.begun());
                    let idle = requests.is_some() && requests == known;
                    if requests == Some(0) || (idle && closing) {
                        return;
                    }
                    if idle {
                        closing = true;
                        http.as_mut().graceful_shutdown();
                    }
                    known = requests;
                    alarms.set_timer(Instant::now() + IDLE);
                }
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Option<Peer>,
        busy: Busy,
    ) -> Result<Response<Body>, Infallible> {
        let version = request.version();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let mut response = self.edge.handle(request).await;
        response.body_mut().hold(busy);
        // From the moment that it is not ready, the gateway sends its clients elsewhere. HTTP/2
        // has a frame of its own for that.
        let leaving = self.edge.parts().health.is_draining() || self.drain.is_cancelled();
        if leaving && version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response)
    }
}
