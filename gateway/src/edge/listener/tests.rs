//! Connections as clients make them, over pipes with paused time and over real sockets.

mod drain;
mod hostile;
mod pace;
mod sockets;
mod tls;

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use super::connection::Server;
use crate::edge::fake::{Fake, Rig, within};

/// A client's end of a connection, HTTP/1.1 written out.
struct Client<I> {
    io: I,
    /// Read, but not yet looked at.
    buffer: Vec<u8>,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn envelope(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn closes(&self) -> bool {
        self.head.contains("connection: close")
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Client<I> {
    fn over(io: I) -> Self {
        let buffer = Vec::new();
        Self { io, buffer }
    }

    async fn send(&mut self, bytes: &str) {
        let sent = self.io.write_all(bytes.as_bytes());
        within("room to send", sent).await.unwrap();
    }

    async fn post(&mut self, function: &str, json: &str) {
        let length = json.len();
        self.send(&format!(
            "POST /api/s/{function} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{json}"
        ))
        .await;
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        let read = self.io.read_buf(&mut self.buffer);
        // However the connection ends, it is over.
        within("bytes", read).await.unwrap_or(0) > 0
    }

    async fn until(&mut self, needle: &str) -> String {
        let mut searched = 0;
        loop {
            let mut windows = self.buffer[searched..].windows(needle.len());
            if let Some(at) = windows.position(|w| w == needle.as_bytes()) {
                let text = &self.buffer[..searched + at + needle.len()];
                return String::from_utf8(text.to_vec()).unwrap();
            }
            searched = (self.buffer.len() + 1).saturating_sub(needle.len());
            let more = self.more().await;
            assert!(more, "ended before {needle:?}: {}", self.text());
        }
    }

    /// The next response with a body of known length.
    async fn reply(&mut self) -> Reply {
        let head = self.until("\r\n\r\n").await;
        self.buffer.drain(..head.len());
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |l| l.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.more().await, "ended within a body");
        }
        let body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        Reply { status, head, body }
    }

    /// Waits for the server to close; what it sent before.
    async fn closed(&mut self) -> String {
        while self.more().await {}
        self.text()
    }
}

/// A server whose connections are pipes.
struct Pipes {
    server: Arc<Server<Fake>>,
    drain: CancellationToken,
}

impl Pipes {
    fn of(
        rig: Rig,
    ) -> (
        Self,
        tokio::sync::mpsc::UnboundedReceiver<crate::edge::fake::Open>,
    ) {
        let drain = CancellationToken::new();
        let server = Arc::new(Server::new(rig.edge, drain.clone()));
        (Self { server, drain }, rig.open)
    }

    /// A new connection that holds so many bytes each way.
    fn connect(&self, bytes: usize) -> Client<DuplexStream> {
        let (client, stream) = duplex(bytes);
        let connections = self.server.edge().parts().capacity.connections.clone();
        self.server
            .serve(stream, None, connections.try_acquire_owned().unwrap());
        Client::over(client)
    }
}
