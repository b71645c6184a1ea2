//! WebSockets: Phoenix sockets of a gateway, or plain ones of floor (c), several requests in flight
//! on each.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use memchr::memmem;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::{Tally, Window, gather};
use crate::Result;

/// What is spoken on the socket.
#[derive(Debug, Clone)]
pub(crate) enum Speech {
    /// Each text message comes back as it is.
    Plain,
    /// A push of a request; its response is a push, after the reply.
    PhoenixPush(Function),
    /// A push of a request; its reply is the response.
    PhoenixReply(Function),
    /// A push of a request; its response is a stream of pushes.
    PhoenixStream(Function),
}

/// What a push names.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    service: &'static str,
    name: &'static str,
}

/// What a frame is to its request.
enum Answer {
    /// Nothing that counts: an acknowledgement.
    None,
    /// An item of a stream.
    Item,
    /// Its last frame.
    Last,
}

impl Speech {
    pub(crate) fn push(service: &'static str, name: &'static str) -> Self {
        Self::PhoenixPush(Function { service, name })
    }

    pub(crate) fn reply(service: &'static str, name: &'static str) -> Self {
        Self::PhoenixReply(Function { service, name })
    }

    pub(crate) fn stream(service: &'static str, name: &'static str) -> Self {
        Self::PhoenixStream(Function { service, name })
    }

    fn path(&self) -> &'static str {
        match self {
            Self::Plain => "/socket",
            _ => "/socket/websocket?vsn=2.0.0",
        }
    }

    fn topic(&self) -> &'static str {
        match self {
            Self::PhoenixReply(_) => "reply:bench",
            _ => "api:bench",
        }
    }

    /// The `number`th request.
    fn request(&self, number: usize, args: &str) -> String {
        let function = match self {
            Self::Plain => return format!(r#"{{"request_id":"{number}","args":{args}}}"#),
            Self::PhoenixPush(f) | Self::PhoenixReply(f) | Self::PhoenixStream(f) => f,
        };
        let (topic, Function { service, name }) = (self.topic(), function);
        format!(
            r#"["1","{number}","{topic}","phoenix_gen_api",{{"request_id":"{number}","service":"{service}","request_type":"{name}","args":{args}}}]"#
        )
    }

    fn answer(&self, frame: &[u8]) -> Answer {
        let is_reply = || memmem::find(frame, b"\"phx_reply\"").is_some();
        let has = |what: &[u8]| memmem::find(frame, what).is_some();
        match self {
            Self::Plain => Answer::Last,
            Self::PhoenixReply(_) if is_reply() => Answer::Last,
            Self::PhoenixPush(_) if !is_reply() => Answer::Last,
            Self::PhoenixStream(_) if !is_reply() && !has(b"\"has_more\":true") => Answer::Last,
            Self::PhoenixStream(_) if has(b"\"result\":\"") => Answer::Item,
            _ => Answer::None,
        }
    }

    /// Whether the answer is the args again.
    fn is_echo(&self) -> bool {
        !matches!(self, Self::PhoenixStream(_))
    }
}

/// How much is sent.
#[derive(Debug, Clone)]
pub(crate) struct Sockets {
    pub(crate) speech: Speech,
    pub(crate) sockets: usize,
    /// On each socket.
    pub(crate) in_flight: usize,
    /// The args of every request: a JSON object.
    pub(crate) args: String,
}

/// Each socket keeps so many requests in flight.
pub(crate) async fn closed_loop(address: SocketAddr, load: &Sockets, window: Window) -> Tally {
    let mut tasks = JoinSet::new();
    for _ in 0..load.sockets {
        let load = load.clone();
        tasks.spawn(async move {
            let mut tally = Tally::new();
            if let Err(error) = ask(address, &load, window, &mut tally).await {
                tally.failed(&error.to_string());
            }
            tally
        });
    }
    gather(tasks).await
}

async fn open(address: SocketAddr, speech: &Speech) -> Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("ws://{address}{}", speech.path()).into_client_request()?;
    // A large read buffer is zeroed before each read: that would be the generator's cost.
    let config = WebSocketConfig::default().read_buffer_size(16 << 10);
    let (mut socket, _) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    if !matches!(speech, Speech::Plain) {
        let join = format!(r#"["1","0","{}","phx_join",{{}}]"#, speech.topic());
        socket.send(Message::text(join)).await?;
        let reply = next(&mut socket).await?;
        if memmem::find(&reply, b"\"ok\"").is_none() {
            return Err(format!("not joined: {}", String::from_utf8_lossy(&reply)).into());
        }
    }
    Ok(socket)
}

async fn ask(address: SocketAddr, load: &Sockets, window: Window, tally: &mut Tally) -> Result {
    let mut socket = open(address, &load.speech).await?;
    // Requests carry their slot's number: an answer finds its slot, and the next one reuses it.
    let texts: Vec<String> = (1..=load.in_flight)
        .map(|number| load.speech.request(number, &load.args))
        .collect();
    let mut sent = vec![Instant::now(); load.in_flight];
    for text in &texts {
        socket.feed(Message::text(text.as_str())).await?;
    }
    socket.flush().await?;
    let wanted = memmem::Finder::new(load.args.as_bytes());
    let mut open = load.in_flight;
    while open > 0 {
        let frame = next(&mut socket).await?;
        match load.speech.answer(&frame) {
            Answer::None => continue,
            Answer::Item => {
                tally.item(window);
                continue;
            }
            Answer::Last => {}
        }
        let slot = slot(&frame).ok_or("an answer without request_id")?;
        let began = sent.get_mut(slot - 1).ok_or("an answer of nobody")?;
        if load.speech.is_echo() {
            tally.answered(window, *began, wanted.find(&frame).is_some());
        } else if memmem::find(&frame, b"\"success\":true").is_none() {
            tally.failed(&String::from_utf8_lossy(&frame));
        }
        if Instant::now() < window.end {
            *began = Instant::now();
            socket.send(Message::text(texts[slot - 1].as_str())).await?;
        } else {
            open -= 1;
        }
    }
    socket.close(None).await?;
    Ok(())
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Result<bytes::Bytes> {
    loop {
        match socket.next().await.ok_or("the socket was closed")?? {
            Message::Text(text) => return Ok(text.into()),
            Message::Close(frame) => return Err(format!("closed: {frame:?}").into()),
            _ => {}
        }
    }
}

/// The number in `"request_id":"…"`.
fn slot(frame: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b"\"request_id\":\"";
    let start = memmem::find(frame, KEY)? + KEY.len();
    let digits = frame[start..].iter().take_while(|b| b.is_ascii_digit());
    let number = digits.fold(0usize, |n, d| n * 10 + usize::from(d - b'0'));
    (number > 0).then_some(number)
}

/// Sockets that are joined and held open.
pub(crate) struct Held {
    sockets: Vec<WebSocketStream<TcpStream>>,
    text: String,
}

impl Held {
    /// Opens and joins so many, some at once.
    pub(crate) async fn open(address: SocketAddr, speech: &Speech, count: usize) -> Result<Self> {
        /// Fewer than a listener's backlog.
        const AT_ONCE: usize = 200;
        let opening = futures_util::stream::iter(0..count).map(|_| open(address, speech));
        let sockets: Vec<_> = opening.buffer_unordered(AT_ONCE).collect().await;
        let sockets = sockets.into_iter().collect::<Result<Vec<_>>>()?;
        let text = speech.request(1, r#"{"id":42,"message":"probe"}"#);
        Ok(Self { sockets, text })
    }

    /// One call over each socket, spread evenly over this time.
    pub(crate) async fn trickle(&mut self, over: Duration) -> Tally {
        let began = Instant::now();
        let gap = over.div_f64(self.sockets.len().max(1) as f64);
        let mut tasks = JoinSet::new();
        for (number, mut socket) in std::mem::take(&mut self.sockets).into_iter().enumerate() {
            let text = self.text.clone();
            let due = began + gap.mul_f64(number as f64);
            tasks.spawn(async move {
                tokio::time::sleep_until(due).await;
                once(&mut socket, text).await
            });
        }
        // One histogram for all: it is large.
        let mut tally = Tally::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(took)) => tally.took(took),
                Ok(Err(error)) => tally.failed(&error.to_string()),
                Err(error) => tally.failed(&error.to_string()),
            }
        }
        tally
    }
}

async fn once(socket: &mut WebSocketStream<TcpStream>, text: String) -> Result<Duration> {
    let sent = Instant::now();
    socket.send(Message::text(text)).await?;
    loop {
        let frame = next(socket).await?;
        if memmem::find(&frame, b"\"phx_reply\"").is_some() {
            continue;
        }
        if memmem::find(&frame, b"\"message\":\"probe\"").is_none() {
            return Err("an answer is not what was asked for".into());
        }
        return Ok(sent.elapsed());
    }
}
