//! The task behind a connection: connects, reads and writes until it breaks, and begins again.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::ServerInfo;
use bytes::{Buf, Bytes, BytesMut};
use sluice_protocol::Frame;
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::io::poll_read_buf;

use super::Shared;
use super::dial::{Dialled, READ_BUFFER, Stream, dial};
use super::parse::{Message, Op, Parsed, first};
use super::servers::{Server, Servers};
use crate::config::Nats;
use crate::dispatch::headers::Block;
use crate::dispatch::inbox::Inbox;
use crate::dispatch::mailbox::Delivery;
use crate::dispatch::nats::reconnect_delay;
use crate::registry::connection::BrokerState;

/// Between two questions whether the server is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Questions without an answer until it counts as gone.
const MISSED_PINGS: u32 = 2;
/// Room for messages that stays when they are written.
const KEPT: usize = 1024 * 1024;
/// How many turns of the thread a few messages wait for more: fewer and larger writes are less
/// work for everybody up to the worker (docs/performance.md).
const LOOKS: u32 = 3;
/// So many bytes are more than a few messages: a write that has them is large enough.
pub(super) const MANY: usize = 8 * 1024;
/// Payloads up to here are copied, so that one that is kept does not keep what was read with it.
const COPIED: usize = 4096;

/// Keeps one shard connected.
pub(super) struct Keeper {
    pub(super) options: Nats,
    pub(super) name: String,
    pub(super) servers: Servers,
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) state: watch::Sender<BrokerState>,
}

impl Keeper {
    /// Never ends by itself.
    pub(super) async fn keep(mut self) {
        loop {
            let (server, dialled) = self.connect().await;
            let address = shown(&server);
            self.up(&server, &dialled.info);
            tracing::info!(server = address, "connected to the broker");
            let error = self.serve(server, dialled).await;
            self.down();
            tracing::warn!(
                server = address,
                %error,
                "the connection to the broker broke; connecting again"
            );
        }
    }

    async fn connect(&mut self) -> (Server, Dialled) {
        let mut attempts = 0_usize;
        loop {
            for server in self.servers.in_turn() {
                attempts += 1;
                tokio::time::sleep(reconnect_delay(attempts)).await;
                match dial(&server, &self.options, &self.name).await {
                    Ok(dialled) => {
                        self.servers.succeeded(&server);
                        return (server, dialled);
                    }
                    Err(error) => {
                        self.servers.failed(&server);
                        let server = shown(&server);
                        // The first of a row, and then now and then.
                        if attempts % 60 == 1 {
                            tracing::warn!(server, %error, "the broker cannot be reached");
                        } else {
                            tracing::debug!(server, %error, "the broker cannot be reached");
                        }
                    }
                }
            }
        }
    }

    fn up(&mut self, server: &Server, info: &ServerInfo) {
        self.learn(server, info);
        let subscribe = format!("SUB {} 1\r\n", self.inbox.subscription());
        self.shared.outbox.open(&subscribe);
        let epoch = self.state.borrow().epoch;
        self.tell(BrokerState {
            connected: true,
            epoch: epoch + 1,
        });
        self.inbox.broadcast(&Delivery::Reconnected, epoch);
    }

    fn down(&mut self) {
        let epoch = self.state.borrow().epoch;
        self.tell(BrokerState {
            connected: false,
            epoch,
        });
        self.shared.outbox.close();
        self.inbox.broadcast(&Delivery::Disconnected, epoch);
    }

    fn tell(&self, state: BrokerState) {
        self.shared.set_state(state);
        self.state.send_replace(state);
    }

    fn learn(&mut self, server: &Server, info: &ServerInfo) {
        if info.max_payload > 0 {
            let max = &self.shared.max_payload;
            max.store(info.max_payload, Ordering::Relaxed);
        }
        self.servers.told(server, &info.connect_urls);
        if info.lame_duck_mode {
            let server = shown(server);
            tracing::warn!(
                server,
                "the broker is about to go; another one will be used"
            );
        }
    }

    /// Reads and writes; returns why it cannot go on.
    async fn serve(&mut self, server: Server, dialled: Dialled) -> io::Error {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let mut session = Session {
            keeper: self,
            server,
            stream: dialled.stream,
            input: dialled.input,
            needed: 0,
            output: Vec::new(),
            written: 0,
            unflushed: false,
            looks: 0,
            pings,
            unanswered: 0,
        };
        match poll_fn(|cx| session.poll(cx)).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

fn shown(server: &Server) -> String {
    format!("{}:{}", server.address.host(), server.address.port())
}

/// A connection that is up.
struct Session<'a> {
    keeper: &'a mut Keeper,
    server: Server,
    stream: Box<dyn Stream>,
    input: BytesMut,
    /// Bytes that `input` needs before it is worth looking at.
    needed: usize,
    output: Vec<u8>,
    /// How much of `output` the socket has taken.
    written: usize,
    unflushed: bool,
    /// How many turns what waits has waited for more.
    looks: u32,
    pings: Interval,
    unanswered: u32,
}

impl Session<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<std::convert::Infallible>> {
        while self.pings.poll_tick(cx).is_ready() {
            if self.unanswered >= MISSED_PINGS {
                let text = "the server has not answered for too long";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            self.unanswered += 1;
            self.keeper.shared.outbox.push_line("PING\r\n");
        }
        // Replies first: what they set off is written with the rest.
        let read = self.poll_read(cx)?;
        if !self.gathers(cx) {
            let _ = self.poll_write(cx)?;
        }
        read.map(Ok)
    }

    /// Whether to write a turn of the thread later: what its clients have sent by then leaves
    /// with it, in one write. Messages wait one turn; a few of them, but not one alone, some more.
    fn gathers(&mut self, cx: &mut Context<'_>) -> bool {
        let waiting = self.keeper.shared.outbox.waiting();
        let most = match waiting.messages {
            0 => 0,
            2.. if waiting.bytes < MANY => LOOKS,
            _ => 1,
        };
        if !self.output.is_empty() || self.looks >= most {
            self.looks = 0;
            return false;
        }
        self.looks += 1;
        // Comes back after the sockets were looked at, unlike a wake-up.
        pin!(yield_now()).poll(cx).is_pending()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<std::convert::Infallible>> {
        loop {
            self.operations()?;
            let room = self.needed.saturating_sub(self.input.len());
            if self.input.capacity() - self.input.len() < room.max(READ_BUFFER / 4) {
                self.input.reserve(room.max(READ_BUFFER));
            }
            let stream = Pin::new(&mut self.stream);
            if ready!(poll_read_buf(stream, cx, &mut self.input))? == 0 {
                let text = "the server ended the connection";
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, text);
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Acts on all that has come in.
    fn operations(&mut self) -> io::Result<()> {
        while self.input.len() >= self.needed {
            match first(&self.input).map_err(io::Error::other)? {
                Parsed::Part(needed) => {
                    self.needed = needed;
                    break;
                }
                Parsed::Op(Op::Message(message), length) => self.message(message, length),
                Parsed::Op(op, length) => {
                    self.input.advance(length);
                    self.operation(op);
                }
            }
            self.needed = 1;
        }
        Ok(())
    }

    fn message(&mut self, message: Message, length: usize) {
        let Message {
            subject,
            headers,
            payload,
        } = message;
        let inbox = &self.keeper.inbox;
        if payload.len() <= COPIED {
            let body = Bytes::copy_from_slice(&self.input[payload]);
            inbox.deliver(&self.input[subject], read(&self.input[headers], body));
            self.input.advance(length);
        } else {
            let whole = self.input.split_to(length).freeze();
            let body = whole.slice(payload);
            inbox.deliver(&whole[subject], read(&whole[headers], body));
        }
    }

    fn operation(&mut self, op: Op) {
        match op {
            Op::Ping => self.keeper.shared.outbox.push_line("PONG\r\n"),
            Op::Pong => self.unanswered = 0,
            Op::Info(info) => self.keeper.learn(&self.server, &info),
            // If it is the end, the server ends the connection itself.
            Op::Err(error) => {
                let server = shown(&self.server);
                tracing::error!(server, error, "the broker refuses something");
            }
            Op::Ok | Op::Message(_) => {}
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                // One large message does not keep its room for ever.
                self.output.shrink_to(KEPT);
                self.keeper.shared.outbox.take(&mut self.output, cx.waker());
                if self.output.is_empty() {
                    break;
                }
            }
            let rest = &self.output[self.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// What a reply says.
pub(super) fn read(headers: &[u8], payload: Bytes) -> Delivery {
    let frame = if headers.is_empty() {
        Frame::decode(|_| None, payload)
    } else {
        let Some(block) = std::str::from_utf8(headers).ok().and_then(Block::parse) else {
            return Delivery::Malformed("its headers are no NATS headers in UTF-8".to_owned());
        };
        if block.is_no_responders() {
            return Delivery::NoResponders;
        }
        Frame::decode(|name| block.get(name), payload)
    };
    frame.map_or_else(|e| Delivery::Malformed(e.to_string()), Delivery::Frame)
}
