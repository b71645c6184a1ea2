//! A Phoenix client, version 2 of the serializer, that shows each frame as it came.
//!
//! It is small so that a test can be rude with it: send anything, read late, or not at all.

mod frame;

pub use frame::{Closed, Frame, Received};

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::{Error, LIMIT, Result};

/// The topic that [`Socket::join`] joins; a gateway that is not told otherwise serves it.
pub const TOPIC: &str = "api:test";
/// The event of calls and their responses.
pub const EVENT: &str = "phoenix_gen_api";

/// One connection to a gateway's socket edge.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Wire>>,
    last_ref: u64,
}

/// What a socket runs over: TCP, or TLS.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

impl Socket {
    /// Opens a socket over a connection of the test's own; the URL begins with `ws://` or `wss://`.
    pub async fn over(
        wire: impl Wire + 'static,
        request: impl IntoClientRequest + Unpin,
    ) -> Result<Self> {
        let wire: Box<dyn Wire> = Box::new(wire);
        let (stream, _) = within("handshake", client_async(request, wire))
            .await?
            .map_err(|error| Error::because("socket", error))?;
        Ok(Self {
            stream,
            last_ref: 0,
        })
    }

    /// Opens a socket; nothing is joined yet.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Self::open(address, "2.0.0", None).await
    }

    /// Opens a socket of version 1, for frames that are sent by hand.
    pub async fn connect_v1(address: SocketAddr) -> Result<Self> {
        Self::open(address, "1.0.0", None).await
    }

    /// Opens a socket whose end here takes about `buffer` bytes that nobody reads: what a slow
    /// client does not read is soon the gateway's to keep.
    pub async fn connect_narrow(address: SocketAddr, buffer: u32) -> Result<Self> {
        Self::open(address, "2.0.0", Some(buffer)).await
    }

    /// Opens a socket whose client says who it is; it counts where the gateway trusts clients.
    pub async fn connect_as(address: SocketAddr, user: &str) -> Result<Self> {
        let user: String = url_encoded(user);
        Self::open(address, &format!("2.0.0&user_id={user}"), None).await
    }

    /// Opens a socket with more in its query (`&token=…`) and with these sub-protocols.
    pub async fn connect_with(
        address: SocketAddr,
        query: &str,
        protocols: Option<&str>,
    ) -> Result<Self> {
        Self::open_with(address, &format!("2.0.0{query}"), None, protocols).await
    }

    async fn open(address: SocketAddr, vsn: &str, buffer: Option<u32>) -> Result<Self> {
        Self::open_with(address, vsn, buffer, None).await
    }

    async fn open_with(
        address: SocketAddr,
        vsn: &str,
        buffer: Option<u32>,
        protocols: Option<&str>,
    ) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::because("socket", error);
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let socket = socket.map_err(|e| failed(&e))?;
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).map_err(|e| failed(&e))?;
        }
        let tcp = within("connect", socket.connect(address)).await?;
        let tcp = tcp.map_err(|e| failed(&e))?;
        tcp.set_nodelay(true).map_err(|e| failed(&e))?;
        let url = format!("ws://{address}/socket/websocket?vsn={vsn}");
        let mut request = url.into_client_request().map_err(|e| failed(&e))?;
        if let Some(protocols) = protocols {
            let value = HeaderValue::from_str(protocols).map_err(|e| failed(&e))?;
            request
                .headers_mut()
                .insert("sec-websocket-protocol", value);
        }
        Self::over(tcp, request).await
    }

    /// Opens a socket and joins [`TOPIC`].
    pub async fn joined(address: SocketAddr) -> Result<Self> {
        let mut socket = Self::connect(address).await?;
        socket.join().await?;
        Ok(socket)
    }

    /// Joins [`TOPIC`], and waits for the reply.
    pub async fn join(&mut self) -> Result {
        let reference = self.push_event(TOPIC, "phx_join", &json!({})).await?;
        let reply = self.reply(reference).await?;
        if reply.payload["status"] == "ok" {
            return Ok(());
        }
        Err(Error::new(format!("the join was refused: {reply:?}")))
    }

    /// Pushes a request to [`TOPIC`]; returns the ref of the push. Waits for nothing but the room
    /// to write.
    pub async fn push(&mut self, request: &Value) -> Result<u64> {
        self.push_event(TOPIC, EVENT, request).await
    }

    /// Pushes any event to any topic; returns the ref of the push.
    pub async fn push_event(&mut self, topic: &str, event: &str, payload: &Value) -> Result<u64> {
        self.last_ref += 1;
        let reference = self.last_ref.to_string();
        let join_ref = (event == "phx_join").then_some(&reference);
        let frame = json!([join_ref, reference, topic, event, payload]);
        self.send(Message::text(frame.to_string())).await?;
        Ok(self.last_ref)
    }

    /// Sends a message as it is, sound or not.
    pub async fn send(&mut self, message: Message) -> Result {
        within("write", self.stream.send(message))
            .await?
            .map_err(|error| Error::because("socket: write", error))
    }

    /// The next thing the gateway sends. After [`Received::Closed`] there is nothing more.
    pub async fn next(&mut self) -> Result<Received> {
        loop {
            match within("read", self.stream.next()).await? {
                Some(Ok(Message::Text(text))) => return Frame::text(&text).map(Received::Frame),
                Some(Ok(Message::Binary(bytes))) => return Ok(Received::Binary(bytes)),
                Some(Ok(Message::Close(close))) => {
                    return Ok(Received::Closed(Closed::with(close)));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(WsError::Io(_) | WsError::Protocol(_))) | None => {
                    return Ok(Received::Closed(Closed::without_a_word()));
                }
                Some(Err(error)) => return Err(Error::because("socket: read", error)),
            }
        }
    }

    /// The next frame; an error if it is no text frame.
    pub async fn frame(&mut self) -> Result<Frame> {
        match self.next().await? {
            Received::Frame(frame) => Ok(frame),
            other => Err(Error::new(format!("expected a frame, got {other:?}"))),
        }
    }

    /// Reads until the socket is closed; returns the close and what came before it.
    pub async fn closed(&mut self) -> Result<(Closed, Vec<Frame>)> {
        let mut frames = Vec::new();
        loop {
            match self.next().await? {
                Received::Frame(frame) => frames.push(frame),
                Received::Binary(_) => {}
                Received::Closed(closed) => return Ok((closed, frames)),
            }
        }
    }

    /// Reads until the reply of this push.
    pub async fn reply(&mut self, reference: u64) -> Result<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.is_reply_to(reference) {
                return Ok(frame);
            }
        }
    }

    /// Calls a function of `demo` and reads until its final response, which is returned.
    pub async fn call(&mut self, function: &str, args: Value) -> Result<Value> {
        let id = format!("call-{}", self.last_ref + 1);
        let request = json!({
            "request_id": id, "service": "demo", "request_type": function, "args": args,
        });
        self.push(&request).await?;
        loop {
            let frame = self.frame().await?;
            let response = frame.payload;
            let ours = frame.event == EVENT && response["request_id"] == id.as_str();
            if ours && response["has_more"] != true && response["async"] != true {
                return Ok(response);
            }
        }
    }

    /// Closes it and waits until the gateway has closed too.
    pub async fn close(mut self) -> Result {
        self.send(Message::Close(None)).await?;
        while !matches!(self.next().await?, Received::Closed(_)) {}
        Ok(())
    }
}

/// Every byte percent-encoded: right for any text in a query.
fn url_encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

/// A limit for what has to happen.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    timeout(LIMIT, future)
        .await
        .map_err(|_| Error::new(format!("socket: {what}: not within {LIMIT:?}")))
}
