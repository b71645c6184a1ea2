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

/// The messages of one client.
#[derive(Debug)]
pub(super) struct ClientSocket {
    socket: WebSocketStream<Wire>,
    /// Nothing is left of what was read.
    drained: bool,
}

/// Their bytes.
#[derive(Debug)]
pub(super) struct Wire {
    io: Io,
    /// What came with the request already.
    early: Bytes,
    /// Bytes that were read and are no message's. Also those of frames that are none: after one
    /// of those it is never 0 again.
    left: usize,
}

#[derive(Debug)]
enum Io {
    /// The client's connection itself.
    Tcp(TcpStream),
    /// It, behind TLS or whatever else.
    Other(TokioIo<Upgraded>),
}

impl ClientSocket {
    /// The server's side of a connection that was upgraded.
    pub(super) async fn new(upgraded: Upgraded, config: WebSocketConfig) -> Self {
        let (io, early) = match downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(Parts { io, read_buf, .. }) => (Io::Tcp(io.into_inner()), read_buf),
            Err(upgraded) => (Io::Other(TokioIo::new(upgraded)), Bytes::new()),
        };
        Self::over(io, early, config).await
    }

    async fn over(io: Io, early: Bytes, config: WebSocketConfig) -> Self {
        let left = 0;
        let (wire, config) = (Wire { io, early, left }, Some(config));
        Self {
            // Not `from_partially_read`, whose buffer forgets how large it is to be.
            socket: WebSocketStream::from_raw_socket(wire, Role::Server, config).await,
            drained: false,
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
            self.drained = self.socket.get_mut().gave(message);
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
        Pin::new(&mut self.socket).poll_flush(cx)
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
            Io::Tcp(tcp) if self.early.is_empty() => tcp.poll_read_ready(cx).map(drop),
            Io::Tcp(_) | Io::Other(_) => Poll::Ready(()),
        }
    }

    /// A message was made of what was read; whether nothing is left of that then.
    fn gave(&mut self, message: &Message) -> bool {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            // A message takes as many bytes at least, so nothing is left if these were all.
            self.left = self.left.saturating_sub(least_bytes(message.len()));
            return self.left == 0;
        }
        false
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
        let before = buffer.filled().len();
        let this = &mut *self;
        let polled = match &mut this.io {
            _ if !this.early.is_empty() => {
                let fit = this.early.len().min(buffer.remaining());
                buffer.put_slice(&this.early.split_to(fit));
                Poll::Ready(Ok(()))
            }
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Io::Other(other) => Pin::new(other).poll_read(cx, buffer),
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
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Other(other) => Pin::new(other).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, SinkExt, StreamExt};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A client, and its socket, which has `early` at once.
    async fn pair(early: &[u8]) -> (TcpStream, ClientSocket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, io) = (client.unwrap(), Io::Tcp(server.unwrap().0));
        client.set_nodelay(true).unwrap();
        let early = Bytes::copy_from_slice(early);
        let socket = ClientSocket::over(io, early, WebSocketConfig::default()).await;
        (client, socket)
    }

    /// A frame with a mask of zeros.
    fn frame(first: u8, payload: &str) -> Vec<u8> {
        let length = payload.len();
        let mut bytes = match length {
            0..126 => vec![first, 0x80 | length as u8],
            _ => [&[first, 0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        };
        bytes.extend([0; 4]);
        bytes.extend(payload.as_bytes());
        bytes
    }

    const TEXT: u8 = 0x81;
    /// The first frame of a text, and its last.
    const BEGINS: u8 = 0x01;
    const ENDS: u8 = 0x80;
    const PING: u8 = 0x89;

    async fn text(socket: &mut ClientSocket) -> String {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                other => assert!(other.is_ping(), "{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn only_where_all_was_given_the_connection_alone_is_asked() {
        let (mut client, mut socket) = pair(&[]).await;
        for n in 0..3 {
            client.write_all(&frame(TEXT, "a")).await.unwrap();
            assert_eq!(text(&mut socket).await, "a");
            assert!(socket.drained, "message {n}");
            assert!(socket.next().now_or_never().is_none());
        }
        let two = [frame(TEXT, "b"), frame(TEXT, "c")].concat();
        client.write_all(&two).await.unwrap();
        assert_eq!(text(&mut socket).await, "b");
        assert!(!socket.drained, "another one is there");
        assert_eq!(text(&mut socket).await, "c");
        assert!(socket.drained);
        // The pong is written by whoever asks for the next message.
        client.write_all(&frame(PING, "p")).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_ping());
        assert!(!socket.drained);
        client.write_all(&frame(TEXT, "d")).await.unwrap();
        assert_eq!(text(&mut socket).await, "d");
        assert!(!socket.drained, "never again");
        drop(client);
        assert!(socket.next().await.is_none_or(|last| last.is_err()));
    }

    #[tokio::test]
    async fn nothing_is_left_lying_however_it_comes() {
        let long = "x".repeat(300);
        let (mut bytes, mut texts) = (Vec::new(), Vec::new());
        for (first, payload, whole) in [
            (TEXT, "a", Some("a")),
            (TEXT, long.as_str(), Some(long.as_str())),
            (TEXT, "", Some("")),
            (BEGINS, "fi", None),
            (PING, "p", None),
            (ENDS, "rst", Some("first")),
            (TEXT, "b", Some("b")),
        ] {
            bytes.extend(frame(first, payload));
            texts.extend(whole);
        }
        for size in (1..20).chain([64, 306, 400]) {
            let (early, bytes) = bytes.split_at(size.min(30));
            let (client, mut socket) = pair(early).await;
            let (mut reads, mut client) = client.into_split();
            let (bytes, last) = (bytes.to_vec(), frame(TEXT, "last"));
            let writer = tokio::spawn(async move {
                for chunk in bytes.chunks(size).chain([&last[..]]) {
                    client.write_all(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client
            });
            for whole in texts.iter().chain(&["last"]) {
                assert_eq!(text(&mut socket).await, *whole, "in chunks of {size}");
            }
            socket.flush().await.unwrap();
            let mut pong = [0; 3];
            tokio::io::AsyncReadExt::read_exact(&mut reads, &mut pong)
                .await
                .unwrap();
            assert_eq!(pong, [0x8a, 1, b'p']);
            drop(writer.await.unwrap());
        }
    }
}
