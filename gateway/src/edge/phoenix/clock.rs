//! When a socket is to be closed: one timer for all reasons.
//!
//! The timer is set for the earliest moment that may matter and asked again when it fires, so a
//! message that is received moves no timer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How sockets are told to go when the gateway shuts down.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Cancelled when the shutdown begins.
    pub token: CancellationToken,
    /// Each socket's turn comes at a random moment within so long, so that not all clients come
    /// back to the other gateways at once.
    pub spread: Duration,
    /// After so long, sockets no longer wait for their calls.
    pub timeout: Duration,
}

/// What has come due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The client has been silent for too long.
    Idle,
    /// The client has not read for too long.
    Stalled,
    /// What was held back is to leave.
    Release,
    /// A token may have expired or been revoked.
    Token,
    /// The gateway shuts down, and it is this socket's turn.
    Turn,
    /// The socket was to close at a moment that has come.
    Close,
    /// The gateway shuts down, and the time for calls is over.
    Over,
}

enum Shutdown {
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
    Begun { turn: Instant, over: Instant },
    Turned { over: Instant },
}

/// The deadlines of one socket.
pub(super) struct Clock {
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    heard: Instant,
    stall: Duration,
    stalled_since: Option<Instant>,
    drain: Drain,
    shutdown: Shutdown,
    /// When the first of the socket's tokens expires.
    expires: Option<Instant>,
    closes: Option<Instant>,
    releases: Option<Instant>,
    revocations: Option<Revoked>,
}

/// Resolves at the next revocation, with what waits for the one after it.
type Revoked = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>>;

fn next_revocation(mut changes: watch::Receiver<u64>) -> Revoked {
    Box::pin(async move { changes.changed().await.ok().map(|()| changes) })
}

impl Clock {
    pub(super) fn new(
        idle: Duration,
        stall: Duration,
        drain: Drain,
        revocations: Option<watch::Receiver<u64>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(sleep_until(now + idle)),
            idle,
            heard: now,
            stall,
            stalled_since: None,
            shutdown: Shutdown::Awaited(Box::pin(drain.token.clone().cancelled_owned())),
            drain,
            expires: None,
            closes: None,
            releases: None,
            revocations: revocations.map(next_revocation),
        }
    }

    /// When the first of the socket's tokens expires.
    pub(super) fn expires(&mut self, at: Option<Instant>) {
        self.expires = at;
    }

    /// The socket is to close at this moment.
    pub(super) fn closes(&mut self, at: Instant) {
        self.closes = Some(at);
    }

    /// Something is held back until then, or nothing.
    pub(super) fn releases(&mut self, at: Option<Instant>) {
        self.releases = at;
    }

    /// The client has sent something.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// When the client has sent something.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard
    }

    /// Whether the outbox is full. A client that is not read cannot be heard: its silence counts
    /// again from when it is.
    pub(super) fn stalled(&mut self, full: bool) {
        if full && self.stalled_since.is_none() {
            self.stalled_since = Some(Instant::now());
        } else if !full && self.stalled_since.take().is_some() {
            self.heard = Instant::now();
        }
    }

    /// Whether something comes due before the timer wakes anybody: it is to be polled anew.
    pub(super) fn is_ahead(&self) -> bool {
        self.next().0 < self.timer.deadline()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        if let Shutdown::Awaited(begun) = &mut self.shutdown
            && begun.as_mut().poll(cx).is_ready()
        {
            let now = Instant::now();
            self.shutdown = Shutdown::Begun {
                turn: now + self.drain.spread.mul_f64(rand::random()),
                over: now + self.drain.timeout.max(self.drain.spread),
            };
        }
        if let Some(revoked) = &mut self.revocations
            && let Poll::Ready(changes) = revoked.as_mut().poll(cx)
        {
            self.revocations = changes.map(next_revocation);
            return Poll::Ready(Due::Token);
        }
        loop {
            let (next, due) = self.next();
            if next <= Instant::now() {
                if let Shutdown::Begun { over, .. } = self.shutdown
                    && due == Due::Turn
                {
                    self.shutdown = Shutdown::Turned { over };
                }
                return Poll::Ready(due);
            }
            // Moments that move away are left for the timer to find out.
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    fn next(&self) -> (Instant, Due) {
        let mut first = self.next_but_token();
        for (at, due) in [
            (self.expires, Due::Token),
            (self.closes, Due::Close),
            (self.releases, Due::Release),
        ] {
            first = at.filter(|at| *at < first.0).map_or(first, |at| (at, due));
        }
        first
    }

    fn next_but_token(&self) -> (Instant, Due) {
        let client = match self.stalled_since {
            Some(since) => (since + self.stall, Due::Stalled),
            None => (self.heard + self.idle, Due::Idle),
        };
        let shutdown = match self.shutdown {
            Shutdown::Awaited(_) => return client,
            Shutdown::Begun { turn, .. } => (turn, Due::Turn),
            Shutdown::Turned { over } => (over, Due::Over),
        };
        if shutdown.0 < client.0 {
            shutdown
        } else {
            client
        }
    }
}
