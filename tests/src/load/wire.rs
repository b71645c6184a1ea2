//! One HTTP/1.1 connection, written out so that nothing is retried behind our back and we know how
//! far each request came.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How a call ended without an answer.
pub(super) enum Fault {
    /// Nothing within the limit; the connection is still open.
    Hung,
    /// Closed before the first byte of an answer.
    Closed,
    /// Closed within an answer.
    Cut,
    /// An answer that is not HTTP.
    Malformed(String),
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// If the connection takes another request.
    pub(super) keep_alive: bool,
}

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
    served: u64,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = timeout(limit, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address,
            served: 0,
        })
    }

    /// If it has served a request before.
    pub(super) fn is_reused(&self) -> bool {
        self.served > 0
    }

    pub(super) async fn post(
        &mut self,
        path: &str,
        request_id: &str,
        body: &str,
        limit: Duration,
    ) -> Result<Reply, Fault> {
        let host = self.host;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Accept: application/json\r\nX-Request-Id: {request_id}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let exchange = async {
            self.stream
                .write_all(request.as_bytes())
                .await
                .map_err(|_| Fault::Closed)?;
            self.read_reply().await
        };
        let reply = timeout(limit, exchange).await.unwrap_or(Err(Fault::Hung))?;
        self.served += 1;
        Ok(reply)
    }

    async fn read_reply(&mut self) -> Result<Reply, Fault> {
        if self.stream.fill_buf().await.map_or(true, <[u8]>::is_empty) {
            return Err(Fault::Closed);
        }
        let line = self.read_line().await?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| malformed(&line))?;
        let (mut length, mut chunked, mut keep_alive) = (None, false, true);
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok(),
                "transfer-encoding" => chunked = value.contains("chunked"),
                "connection" => keep_alive = !value.contains("close"),
                _ => {}
            }
        }
        let body = if chunked {
            self.read_chunks().await?
        } else {
            self.read_exactly(length.ok_or_else(|| malformed("no content-length"))?)
                .await?
        };
        Ok(Reply {
            status,
            body,
            keep_alive,
        })
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| malformed(&line))?;
            body.extend(self.read_exactly(size).await?);
            // After the last chunk this is the blank line that ends the (absent) trailers.
            self.read_line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .await
            .map_err(|_| Fault::Cut)?;
        Ok(bytes)
    }

    async fn read_line(&mut self) -> Result<String, Fault> {
        let mut line = Vec::new();
        self.stream
            .read_until(b'\n', &mut line)
            .await
            .map_err(|_| Fault::Cut)?;
        if line.pop() != Some(b'\n') {
            return Err(Fault::Cut);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

fn malformed(line: &str) -> Fault {
    Fault::Malformed(format!("not HTTP: {line:?}"))
}
