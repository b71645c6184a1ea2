//! HTTP/1.1 with keep-alive, one request in flight a connection. Thin on purpose: the generator
//! shares the machine with what it measures.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use memchr::memmem::Finder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Tally, Window, gather};
use crate::Result;

/// What to send, and how a right answer is known.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Head and body, as they go on the wire.
    pub(crate) bytes: Vec<u8>,
    /// The status of a right answer.
    pub(crate) status: u16,
    /// What stands in the body of a right answer.
    pub(crate) contains: Vec<u8>,
}

impl Request {
    /// A POST of JSON.
    pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
        );
        Self {
            bytes: [head.as_bytes(), body].concat(),
            status: 200,
            contains: body.to_vec(),
        }
    }

    /// Answered with this status, and this in the body.
    pub(crate) fn expecting(mut self, status: u16, contains: &str) -> Self {
        self.status = status;
        self.contains = contains.as_bytes().to_vec();
        self
    }
}

/// Each connection asks again as soon as it has its answer.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    connections: usize,
    request: &Request,
    window: Window,
) -> Tally {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let request = request.clone();
        tasks.spawn(async move {
            let mut tally = Tally::new();
            if let Err(error) = ask(address, &request, window, &mut tally).await {
                tally.failed(&error.to_string());
            }
            tally
        });
    }
    gather(tasks).await
}

async fn ask(address: SocketAddr, request: &Request, window: Window, tally: &mut Tally) -> Result {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 << 10);
    let finder = Finder::new(&request.contains);
    while Instant::now() < window.end {
        let sent = Instant::now();
        stream.write_all(&request.bytes).await?;
        let (status, head, body) = answer(&mut stream, &mut buffer).await?;
        let right = status == request.status && finder.find(&buffer[head..head + body]).is_some();
        buffer.advance(head + body);
        tally.answered(window, sent, right);
    }
    Ok(())
}

/// Reads until one whole answer is in the buffer: its status, and the bytes of head and body.
async fn answer(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<(u16, usize, usize)> {
    loop {
        if let Some((status, head, body)) = head(buffer)? {
            while buffer.len() < head + body {
                fill(stream, buffer).await?;
            }
            return Ok((status, head, body));
        }
        fill(stream, buffer).await?;
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result {
    if stream.read_buf(buffer).await? == 0 {
        return Err("the connection was closed".into());
    }
    Ok(())
}

fn head(buffer: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(buffer)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|h| h.name.eq_ignore_ascii_case("content-length"))
        .and_then(|h| std::str::from_utf8(h.value).ok())
        .and_then(|v| v.parse().ok())
        .ok_or("an answer without content-length")?;
    Ok(Some((response.code.unwrap_or(0), head, length)))
}
