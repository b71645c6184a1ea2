//! The last moments of a socket in a shutdown: no push of its client crosses the close frame unanswered.
//!
//! After a close frame nothing may be sent any more (RFC 6455 §5.5.1), so what a client pushed before it read
//! ours could not be answered. Therefore the client is told first, in its own protocol: `phx_error` on each
//! channel, after which Phoenix's clients keep their pushes until they have joined again. A ping follows, and its
//! pong comes after everything that was written before the client had read both: those pushes are refused, and
//! may be sent again. Then comes the close frame, before the clients' first attempt to join again (a second
//! later), and they connect to another gateway and send what they kept.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{End, Socket, Transport, going_away};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::service::CallService;

/// What the ping says, so that a pong of the client's own accord is not taken for its answer.
const PING: &[u8] = b"farewell";
/// How long a client that does not answer the ping may go on.
const MOST: Duration = Duration::from_secs(2);
/// A browser answers pings on its own: its script may still have a push to make before it sees the frames that
/// came before. So long after the pong, or after the last push, nothing must have come.
const QUIET: Duration = Duration::from_millis(100);

/// A client that has been told that its socket is about to close.
#[derive(Debug)]
pub(super) struct Farewell {
    answered: bool,
    latest: Instant,
}

impl Farewell {
    /// When to close now, at the latest.
    fn deadline(&self) -> Instant {
        let quiet = Instant::now() + QUIET;
        if self.answered {
            quiet.min(self.latest)
        } else {
            self.latest
        }
    }
}

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// After the last call of a socket that leaves: tells its client, once. Closes at once where there is no
    /// channel to push to.
    pub(super) fn say_farewell(&mut self) -> Option<End> {
        if self.farewell.is_some() {
            return None;
        }
        if self.channels.is_empty() {
            return Some(going_away());
        }
        for channel in self.channels.values() {
            self.outbox.push(channel.failed());
        }
        self.outbox.push(Message::Ping(Bytes::from_static(PING)));
        let farewell = Farewell {
            answered: false,
            latest: Instant::now() + MOST,
        };
        self.clock.closes(farewell.deadline());
        self.farewell = Some(farewell);
        None
    }

    /// What a client says after it was told to go.
    pub(super) fn heard_in_farewell(&mut self, message: &Message) {
        let Some(farewell) = &mut self.farewell else {
            return;
        };
        if matches!(message, Message::Pong(payload) if payload.as_ref() == PING) {
            farewell.answered = true;
        }
        self.clock.closes(farewell.deadline());
    }
}
