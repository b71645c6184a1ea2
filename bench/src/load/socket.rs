//! WebSockets: Phoenix sockets of a gateway, or plain ones of floor (c), several requests in flight
//! on each.

use std::net::SocketAddr;

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
    PhoenixPush { function: String },
    /// A push of a request; its reply is the response.
    PhoenixReply { function: String },
}

impl Speech {
    fn path(&self) -> &'static str {
        match self {
            Self::Plain => "/socket",
            Self::PhoenixPush { .. } | Self::PhoenixReply { .. } => "/socket/websocket?vsn=2.0.0",
        }
    }

    fn topic(&self) -> &'static str {
        match self {
            Self::PhoenixReply { .. } => "reply:bench",
            Self::Plain | Self::PhoenixPush { .. } => "api:bench",
        }
    }

    /// The `number`th request.
    fn request(&self, number: usize, args: &str) -> String {
        match self {
            Self::Plain => format!(r#"{{"request_id":"{number}","args":{args}}}"#),
            Self::PhoenixPush { function } | Self::PhoenixReply { function } => {
                let (topic, service) = (self.topic(), crate::stage::SERVICE);
                format!(
                    r#"["1","{number}","{topic}","phoenix_gen_api",{{"request_id":"{number}","service":"{service}","request_type":"{function}","args":{args}}}]"#
                )
            }
        }
    }

    /// Whether a frame is the answer of a request, not only its acknowledgement.
    fn is_answer(&self, frame: &[u8]) -> bool {
        match self {
            Self::Plain => true,
            Self::PhoenixReply { .. } => memmem::find(frame, b"\"phx_reply\"").is_some(),
            Self::PhoenixPush { .. } => memmem::find(frame, b"\"phx_reply\"").is_none(),
        }
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
        if !load.speech.is_answer(&frame) {
            continue;
        }
        let slot = slot(&frame).ok_or("an answer without request_id")?;
        let began = sent.get_mut(slot - 1).ok_or("an answer of nobody")?;
        tally.answered(window, *began, wanted.find(&frame).is_some());
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
