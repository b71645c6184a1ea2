//! The WebSocket of one client, over as few layers as its connection allows.
//!
//! After each message the socket's task asks for the next, mostly in vain, and asking the
//! protocol means to clear a buffer, to read and to parse. Where all bytes that were read belong
//! to messages, only the connection need be asked.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::either::Either;

/// The messages of one client.
#[derive(Debug)]
pub(super) struct ClientSocket {
    socket: WebSocketStream<Wire>,
    /// Nothing is left of what was read.
    drained: bool,
    /// A ping was read, and nothing flushed since: whoever reads writes the pong.
    owes_pong: bool,
}

/// Their bytes.
#[derive(Debug)]
pub(super) struct Wire {
    io: Io,
    /// What came with the request already.
    early: Bytes,
    /// Bytes that were read and are not accounted for by messages. After a message in several
    /// frames it is never 0 again.
    left: usize,
    #[cfg(test)]
    reads: usize,
}

/// The client's connection itself, or it behind TLS or whatever else.
type Io = Either<TcpStream, TokioIo<Upgraded>>;

impl ClientSocket {
    /// The server's side of a connection that was upgraded.
    pub(super) async fn new(upgraded: Upgraded, config: WebSocketConfig) -> Self {
        let (io, early) = match downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(Parts { io, read_buf, .. }) => (Either::Left(io.into_inner()), read_buf),
            Err(upgraded) => (Either::Right(TokioIo::new(upgraded)), Bytes::new()),
        };
        // No bytes must not keep the large buffer that they were read into.
        let early = if early.is_empty() {
            Bytes::new()
        } else {
            early
        };
        Self::over(io, early, config).await
    }

    async fn over(io: Io, early: Bytes, config: WebSocketConfig) -> Self {
        let wire = Wire {
            io,
            early,
            left: 0,
            #[cfg(test)]
            reads: 0,
        };
        let config = Some(config);
        Self {
            // Not `from_partially_read`, whose buffer forgets how large it is to be.
            socket: WebSocketStream::from_raw_socket(wire, Role::Server, config).await,
            drained: false,
            owes_pong: false,
        }
    }

    pub(super) fn into_inner(self) -> Wire {
        self.socket.into_inner()
    }
}

impl Stream for ClientSocket {
    type Item = Result<Message, WsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Once: whoever is woken then is to read.
        if std::mem::take(&mut self.drained) {
            ready!(self.socket.get_ref().poll_readable(cx));
        }
        let polled = Pin::new(&mut self.socket).poll_next(cx);
        if let Poll::Ready(Some(Ok(message))) = &polled {
            let is_all = self.socket.get_mut().gave(message);
            self.owes_pong |= message.is_ping();
            self.drained = is_all && !self.owes_pong;
        }
        polled
    }
}

impl Sink<Message> for ClientSocket {
    type Error = WsError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Pin::new(&mut self.socket).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), WsError> {
        Pin::new(&mut self.socket).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        self.owes_pong &= polled.is_pending();
        polled
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

impl Wire {
    /// Whether there may be something to read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.io {
            // Whoever reads hears of errors.
            Either::Left(tcp) if self.early.is_empty() => tcp.poll_read_ready(cx).map(drop),
            Either::Left(_) | Either::Right(_) => Poll::Ready(()),
        }
    }

    /// A message was made of what was read; whether nothing is left of that then.
    fn gave(&mut self, message: &Message) -> bool {
        if !message.is_close() {
            // A message takes as many bytes at least, so nothing is left if these were all.
            self.left = self.left.saturating_sub(least_bytes(message.len()));
        }
        self.left == 0
    }
}

/// The bytes of a client's frame with so large a payload (RFC 6455 §5.2): of a message in several
/// frames, or with a longer head than it needs, less than it has.
fn least_bytes(payload: usize) -> usize {
    const MASK: usize = 4;
    let head = match payload {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    };
    head + MASK + payload
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        #[cfg(test)]
        {
            self.reads += 1;
        }
        let before = buffer.filled().len();
        let polled = if self.early.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buffer)
        } else {
            let fit = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(fit));
            Poll::Ready(Ok(()))
        };
        self.left += buffer.filled().len() - before;
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
