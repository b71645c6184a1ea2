//! The task of one socket: reads frames, runs calls, writes answers, until one side closes.
//!
//! Everything happens in this one task, and in turns: a call's answer, a stream's next item and
//! the client's next frame are taken only while the outbox has room for what they cause. A client
//! that does not read is therefore not read either, its calls' answers wait where they are, and
//! its streams' credit runs out at their workers. It costs itself, and only itself.

mod farewell;
mod join;
mod leave;
mod poll;
mod push;
mod stop;
mod token;
mod traffic;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use futures_util::{Sink, Stream};
use sluice_protocol::response::Answer;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use self::farewell::Farewell;
use self::traffic::Traffic;
use super::auth::SocketAuth;
use super::bell::Bell;
use super::calls::{Calls, Followed, Key, Opened};
use super::channel::Channel;
use super::clock::{Clock, Drain, Due};
use super::frame::{Frame, FrameError, Head, RENEW_TOKEN, Ref, STOP_STREAM, Vsn};
use super::options::Phoenix as Options;
use super::outbox::Outbox;
use super::service::CallService;
use super::written::{Status, reply};
use super::{binary, text};
use crate::identity::Session;
use crate::live::{self, Ticket};

/// A transport of WebSocket messages: a [`ClientSocket`](super::transport::ClientSocket), or
/// channels in tests.
pub(super) trait Transport:
    Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Unpin
{
}

impl<T> Transport for T where
    T: Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Unpin
{
}

/// What all sockets share.
#[derive(Debug)]
pub(super) struct Shared<C, A> {
    /// The limits and topics.
    pub(super) options: Options,
    /// Answers calls.
    pub(super) service: C,
    /// Decides who speaks.
    pub(super) auth: A,
    /// When and how to go.
    pub(super) drain: Drain,
}

/// Why a socket ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client has closed, and its close frame is to be answered.
    ClientClosed,
    /// The transport is gone.
    Gone,
    /// The gateway closes, with this code and reason.
    Close(CloseCode, String),
    /// Likewise, but the client does not read: what waits for it is given up.
    Cut(CloseCode, String),
}

impl End {
    fn name(&self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Gone => "gone",
            Self::Close(..) => "closed",
            Self::Cut(..) => "cut",
        }
    }
}

enum Event {
    Opened(Opened),
    Followed(Followed),
    /// Items of streams are in the outbox.
    Handled,
    Message(Message),
    Due(Due),
    End(End),
}

/// One connected client.
pub(super) struct Socket<T, C, A> {
    transport: T,
    shared: Arc<Shared<C, A>>,
    vsn: Vsn,
    session: Arc<Session>,
    address: Option<IpAddr>,
    /// Of requests that name none.
    version: Option<String>,
    channels: HashMap<Arc<str>, Arc<Channel>, RandomState>,
    calls: Calls,
    outbox: Outbox,
    clock: Clock,
    /// Something came from the client, or may be written to it.
    incoming: Bell,
    /// The clock, or an operator.
    alarms: Bell,
    /// It is this socket's turn to go: calls in flight may finish, new ones are refused.
    leaving: bool,
    /// Its client was told so, and the close frame is next.
    farewell: Option<Farewell>,
    /// Which source is asked first.
    first: usize,
    burst: usize,
    traffic: Traffic,
    /// Its place on the list of what is open.
    ticket: Option<Ticket<live::Socket>>,
}

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// The same socket, whose requests are of `version` unless they name one.
    pub(super) fn speaking(mut self, version: Option<String>) -> Self {
        self.version = version;
        self
    }

    pub(super) fn new(
        transport: T,
        shared: Arc<Shared<C, A>>,
        vsn: Vsn,
        session: Arc<Session>,
        address: Option<IpAddr>,
    ) -> Self {
        let options = &shared.options;
        let mut clock = Clock::new(
            options.idle_timeout,
            options.write_timeout,
            shared.drain.clone(),
            shared.auth.revocations(),
        );
        clock.expires(session.expires);
        Self {
            transport,
            vsn,
            session,
            address,
            version: None,
            channels: HashMap::default(),
            calls: Calls::default(),
            outbox: Outbox::new(options.outbox_frames, options.outbox_bytes),
            clock,
            incoming: Bell::new(),
            alarms: Bell::new(),
            leaving: false,
            farewell: None,
            first: 0,
            burst: 0,
            traffic: Traffic::of(shared.service.recorder()),
            ticket: None,
            shared,
        }
    }

    /// The same, on the list of what is open.
    pub(super) fn listed_as(mut self, ticket: Ticket<live::Socket>) -> Self {
        self.ticket = Some(ticket);
        self
    }

    /// Serves the client until one side closes; the transport is handed back.
    pub(super) async fn run(mut self) -> T {
        let end = self.serve().await;
        tracing::debug!(?end, "socket ends");
        self.traffic.ended(end.name());
        // Cancels all calls, before anybody waits for the client.
        self.calls = Calls::default();
        self.channels.clear();
        self.end(end).await;
        self.transport
    }

    async fn serve(&mut self) -> End {
        loop {
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await;
            match event {
                Event::Opened((key, outcome)) => self.on_opened(key, outcome),
                Event::Followed((key, answer)) => self.on_followed(key, &answer),
                Event::Handled => {}
                Event::Message(message) => {
                    self.clock.heard();
                    self.heard_in_farewell(&message);
                    if let Some(end) = self.on_message(message) {
                        return end;
                    }
                }
                Event::Due(due) => {
                    if let Some(end) = self.on_due(due) {
                        return end;
                    }
                }
                Event::End(end) => return end,
            }
            let (frames, bytes) = self.outbox.take_written();
            self.traffic.sent(frames, bytes);
            if let Some(ticket) = &self.ticket {
                let what = ticket.what();
                what.calls.store(self.calls.len(), Ordering::Relaxed);
                what.channels.store(self.channels.len(), Ordering::Relaxed);
            }
            if self.leaving
                && self.calls.len() == 0
                && let Some(end) = self.say_farewell()
            {
                return end;
            }
        }
    }

    fn on_message(&mut self, message: Message) -> Option<End> {
        self.traffic.received(message.len());
        let handled = match &message {
            Message::Text(text) if self.on_plain_call(text) => Ok(()),
            Message::Text(text) => text::decode(self.vsn, text).map(|f| self.on_frame(f)),
            Message::Binary(_) if self.vsn == Vsn::V1 => Err(FrameError::BinaryUnsupported),
            Message::Binary(bytes) => binary::decode(bytes).map(|f| self.on_frame(f)),
            Message::Close(_) => return Some(End::ClientClosed),
            // The transport answers pings by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        };
        let error = handled.err()?;
        Some(End::Close(error.close_code(), error.to_string()))
    }

    fn on_frame(&mut self, frame: Frame<'_>) {
        if frame.topic == "phoenix" && frame.event == "heartbeat" {
            return self.reply_outside(&frame, None, Status::Ok, "{}");
        }
        if frame.event == "phx_join" {
            // After the farewell its client joins again where it connects next.
            if self.farewell.is_none() {
                self.on_join(frame);
            }
            return;
        }
        let Some(channel) = self.channels.get(frame.topic.as_ref()).cloned() else {
            return self.on_frame_outside(&frame);
        };
        if !channel.is_for(frame.join_ref.as_ref()) {
            // Meant for a join that is no more; its client has been told.
            return;
        }
        if frame.event == "phx_leave" {
            self.on_leave(&channel, &frame);
        } else if frame.event == channel.rules.event {
            self.on_call(&channel, frame);
        } else if frame.event == RENEW_TOKEN {
            self.on_renew(&channel, &frame);
        } else if frame.event == STOP_STREAM {
            self.on_stop(&channel, &frame);
        } else if frame.reference.is_some() {
            let reason = serde_json::json!({ "reason": "unknown event" });
            let reference = frame.reference.as_ref();
            let encoding = frame.payload.encoding;
            let reply = channel.reply_value(reference, Status::Error, &reason, encoding);
            self.outbox.push(reply);
        }
    }

    /// A frame for a topic that is not joined.
    fn on_frame_outside(&mut self, frame: &Frame<'_>) {
        if frame.event == "phx_leave" {
            self.reply_outside(frame, frame.join_ref.as_ref(), Status::Ok, "{}");
        } else {
            self.reply_outside(frame, None, Status::Error, UNMATCHED);
        }
    }

    /// A reply to a frame that belongs to no channel.
    fn reply_outside(
        &mut self,
        frame: &Frame<'_>,
        join_ref: Option<&Ref<'_>>,
        status: Status,
        response: &str,
    ) {
        let head = Head {
            join_ref,
            reference: frame.reference.as_ref(),
            topic: &frame.topic,
            event: &frame.event,
        };
        self.outbox.push(reply(self.vsn, &head, status, response));
    }

    fn on_due(&mut self, due: Due) -> Option<End> {
        match due {
            // Not 1000: clients take that for a close that they asked for, and stay away.
            Due::Idle => {
                let reason = "idle: nothing heard, no heartbeat";
                Some(End::Close(CloseCode::Away, reason.to_owned()))
            }
            Due::Stalled => Some(End::Cut(CloseCode::Policy, "slow client".to_owned())),
            Due::Release => {
                self.outbox.release();
                None
            }
            Due::Turn => {
                self.begin_to_leave();
                None
            }
            Due::Close | Due::Over => Some(going_away()),
            Due::Token => self.on_token_due(),
        }
    }

    /// Pushes an answer of a call in flight; forgets the call after its final one.
    fn on_followed(&mut self, key: Key, answer: &Answer) {
        let Some(in_flight) = self.calls.get_mut(key) else {
            return;
        };
        let (id, encoding) = (in_flight.id.as_str(), in_flight.encoding);
        let message = in_flight.channel.push(id, answer, encoding);
        self.outbox.push(message);
        if answer.is_final() {
            self.calls.remove(key);
        }
    }
}

/// What a topic that nobody serves, or that is not joined, is answered with.
const UNMATCHED: &str = r#"{"reason":"unmatched topic"}"#;

fn going_away() -> End {
    End::Close(
        CloseCode::Restart,
        "the gateway restarts; connect again".to_owned(),
    )
}
