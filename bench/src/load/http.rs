//! HTTP/1.1 with keep-alive, one request in flight a connection. Thin on purpose: the generator
//! shares the machine with what it measures.

use std::net::SocketAddr;
use std::time::Duration;

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
    head: String,
    body: Vec<u8>,
    /// The status of a right answer.
    pub(crate) status: u16,
    /// What stands in the body of a right answer.
    pub(crate) contains: Vec<u8>,
}

impl Request {
    /// A POST of JSON. `{n}` in the headers becomes the number of the connection.
    pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Self {
        Self::post_as(path, "application/json", headers, body)
    }

    /// A POST of some media type.
    pub(crate) fn post_as(path: &str, media_type: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        Self {
            head: format!(
                "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {media_type}\r\n{headers}content-length: {length}\r\n\r\n"
            ),
            body: body.to_vec(),
            status: 200,
            contains: body.to_vec(),
        }
    }

    /// A GET, whose right answer has `contains` in its body.
    pub(crate) fn get(path: &str, contains: &str) -> Self {
        Self {
            head: format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n"),
            body: Vec::new(),
            status: 200,
            contains: contains.as_bytes().to_vec(),
        }
    }

    /// As it goes over the `number`th connection.
    fn bytes(&self, number: usize) -> Vec<u8> {
        let head = self.head.replace("{n}", &number.to_string());
        [head.as_bytes(), &self.body].concat()
    }

    /// Answered with this status, and this in the body.
    pub(crate) fn expecting(mut self, status: u16, contains: &str) -> Self {
        self.status = status;
        self.contains = contains.as_bytes().to_vec();
        self
    }
}

/// When a connection asks.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// As soon as it has its answer.
    AtOnce,
    /// At these times, whether or not the answer before came.
    Every { first: Instant, interval: Duration },
}

/// Each connection asks again as soon as it has its answer.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    connections: usize,
    request: &Request,
    window: Window,
) -> Tally {
    let pace = vec![Pace::AtOnce; connections];
    run(address, request, window, pace).await
}

/// So many requests per second over all connections, whether or not answers come. A request whose
/// connection is still busy when its turn comes waits, and the wait counts: a pause of the server is
/// seen by all who would have asked during it (coordinated omission).
pub(crate) async fn open_loop(
    address: SocketAddr,
    connections: usize,
    request: &Request,
    rate: f64,
    window: Window,
) -> Tally {
    let interval = Duration::from_secs_f64(connections as f64 / rate);
    let began = Instant::now();
    let first = |number: usize| began + interval.mul_f64(number as f64 / connections as f64);
    let every = |number| Pace::Every {
        first: first(number),
        interval,
    };
    let pace = (0..connections).map(every).collect();
    run(address, request, window, pace).await
}

/// One connection for each pace.
async fn run(address: SocketAddr, request: &Request, window: Window, pace: Vec<Pace>) -> Tally {
    let mut tasks = JoinSet::new();
    for (number, pace) in pace.into_iter().enumerate() {
        let request = request.clone();
        tasks.spawn(async move {
            let mut tally = Tally::new();
            let done = match Asking::new(address, &request, number).await {
                Ok(asking) => asking.until(window, pace, &mut tally).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tally.failed(&error.to_string());
            }
            tally
        });
    }
    gather(tasks).await
}

/// One connection and what it asks.
struct Asking {
    stream: TcpStream,
    buffer: BytesMut,
    bytes: Vec<u8>,
    status: u16,
    contains: Finder<'static>,
}

impl Asking {
    async fn new(address: SocketAddr, request: &Request, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::with_capacity(16 << 10),
            bytes: request.bytes(number),
            status: request.status,
            contains: Finder::new(&request.contains).into_owned(),
        })
    }

    /// Asks until the window ends.
    async fn until(mut self, window: Window, pace: Pace, tally: &mut Tally) -> Result {
        let mut turn = 0;
        loop {
            let due = match pace {
                Pace::AtOnce => Instant::now(),
                Pace::Every { first, interval } => first + interval * turn,
            };
            if due >= window.end {
                return Ok(());
            }
            // A timer that wakes us late is not the server's fault; a busy connection is.
            let sent = if Instant::now() < due {
                tokio::time::sleep_until(due).await;
                Instant::now()
            } else {
                due
            };
            let right = self.once().await?;
            tally.answered(window, sent, right);
            turn += 1;
        }
    }

    /// Asks and waits for the answer; whether it is right.
    async fn once(&mut self) -> Result<bool> {
        self.stream.write_all(&self.bytes).await?;
        let (status, head, body) = answer(&mut self.stream, &mut self.buffer).await?;
        let body_bytes = &self.buffer[head..head + body];
        let right = status == self.status && self.contains.find(body_bytes).is_some();
        self.buffer.advance(head + body);
        Ok(right)
    }
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
