//! What a socket does next: whose turn it is among its calls, its client, its writer, its clock.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{End, Event, Socket, Transport};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::service::CallService;

/// Events that are handled before the writer gets a turn, should all keep coming.
const BURST: usize = 64;
/// Items of streams that count as one such event.
const ITEMS: usize = 8;

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// The next thing to do; writes while there is nothing.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if self.burst == BURST {
                self.burst = 0;
                if let Poll::Ready(event) = self.poll_between(cx) {
                    return Poll::Ready(event);
                }
            }
            let room = self.room();
            if let Poll::Ready(event) = self.poll_sources(room, cx) {
                self.burst += 1;
                return Poll::Ready(event);
            }
            self.burst = 0;
            let polled = self.poll_between(cx);
            // What was held back has not been asked, and would wake nobody.
            if polled.is_ready() || self.room() == room {
                return polled;
            }
        }
    }

    /// Writes what can be written, and looks at the clock.
    fn poll_between(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Err(_)) = self.outbox.poll_write(&mut self.transport, cx) {
            return Poll::Ready(Event::End(End::Gone));
        }
        self.clock.stalled(!self.outbox.has_room());
        self.clock.releases(self.outbox.held_until());
        if self.clock.is_ahead() {
            self.alarms.again();
        }
        let (ticket, clock) = (&mut self.ticket, &mut self.clock);
        self.alarms.poll(cx, |cx| {
            if let Some(ticket) = ticket
                && let Poll::Ready(reason) = ticket.poll_closed(cx)
            {
                return Poll::Ready(Event::End(closed_by_operator(reason)));
            }
            clock.poll(cx).map(Event::Due)
        })
    }

    /// Whether there is room for anything, and for streams.
    fn room(&self) -> (bool, bool) {
        (self.outbox.has_room(), self.outbox.has_room_for_streams())
    }

    fn poll_sources(&mut self, room: (bool, bool), cx: &mut Context<'_>) -> Poll<Event> {
        const SOURCES: usize = 4;
        let (any, streams) = room;
        // In turns: a source that is always ready must not starve the others.
        self.first = (self.first + 1) % SOURCES;
        for source in (self.first..self.first + SOURCES).map(|n| n % SOURCES) {
            let polled = match source {
                0 if any => self.calls.poll_opened(cx).map(Event::Opened),
                1 if any => self.calls.poll_late(cx).map(Event::Followed),
                2 if streams => self.poll_streams(cx),
                3 if any => self.poll_transport(cx),
                _ => Poll::Pending,
            };
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    fn poll_transport(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let transport = Pin::new(&mut self.transport);
        let polled = self.incoming.poll(cx, |cx| transport.poll_next(cx));
        polled.map(received)
    }

    /// Puts some items of streams into the outbox: one event each would cost more than the items.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for taken in 0..ITEMS {
            if taken > 0 && !self.outbox.has_room_for_streams() {
                break;
            }
            match self.calls.poll_streams(cx) {
                Poll::Ready((key, answer)) => self.on_followed(key, &answer),
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Event::Handled)
    }
}

/// Clients come back after a close with this code: whom an operator wants away is revoked.
fn closed_by_operator(reason: &str) -> End {
    let text = match reason {
        "" => "closed by an operator".to_owned(),
        reason => format!("closed by an operator: {reason}"),
    };
    End::Close(CloseCode::Policy, text)
}

/// What the transport yielded.
fn received(item: Option<Result<Message, WsError>>) -> Event {
    let close = |code, error: &WsError| Event::End(End::Close(code, error.to_string()));
    match item {
        Some(Ok(message)) => Event::Message(message),
        Some(Err(error)) => match &error {
            WsError::Capacity(_) => close(CloseCode::Size, &error),
            WsError::Utf8(_) => close(CloseCode::Invalid, &error),
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Event::End(End::Gone),
            WsError::Protocol(_) | WsError::AttackAttempt => close(CloseCode::Protocol, &error),
            _ => Event::End(End::Gone),
        },
        None => Event::End(End::Gone),
    }
}
