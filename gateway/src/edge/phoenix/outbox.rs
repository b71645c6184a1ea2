//! What waits to be written to one client.
//!
//! There is one writer, and it is polled: it hands frames over until the transport takes no more,
//! and flushes once the queue is empty, so frames that were ready together leave together. Room
//! is asked for *before* something is taken that will need it; so the queue exceeds its limits by
//! what one event adds at most, and nobody ever waits for room with a frame in hand.
//!
//! A frame that says little by itself may wait a moment for what leaves with it: one write, one
//! packet and one reading of the client less (ADR 43).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Sink;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// Frames in order, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Message>,
    bytes: usize,
    max_frames: usize,
    max_bytes: usize,
    unflushed: bool,
    /// Until when all that is here may wait for more.
    held_until: Option<Instant>,
    /// Frames and bytes since somebody asked.
    written: (u64, u64),
}

impl Outbox {
    pub(super) fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            max_frames,
            max_bytes,
            unflushed: false,
            held_until: None,
            written: (0, 0),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.release();
        self.add(message);
    }

    /// Puts in what may wait for others until then, if it is alone.
    pub(super) fn push_held(&mut self, message: Message, until: Instant) {
        if self.queue.is_empty() && !self.unflushed {
            self.held_until = Some(until);
        }
        self.add(message);
    }

    fn add(&mut self, message: Message) {
        self.bytes += message.len();
        self.queue.push_back(message);
    }

    /// Nothing waits for others any more.
    pub(super) fn release(&mut self) {
        self.held_until = None;
    }

    /// When what is here has waited long enough for others.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Frames and bytes that the transport took since this was asked last.
    pub(super) fn take_written(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.written)
    }

    /// Whether anything may be taken that will be answered.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.max_frames && self.bytes < self.max_bytes
    }

    /// Whether a stream may go on. The other half is left for replies and results, so that a
    /// client that is slow to read a stream can still stop it.
    pub(super) fn has_room_for_streams(&self) -> bool {
        self.queue.len() < self.max_frames / 2 && self.bytes < self.max_bytes / 2
    }

    /// Writes as much as the transport takes; ready when all is written and flushed, or held.
    pub(super) fn poll_write<S: Sink<Message> + Unpin>(
        &mut self,
        sink: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>> {
        if self.held_until.is_some() && self.has_room_for_streams() {
            return Poll::Ready(Ok(()));
        }
        // What has begun to leave is not held again.
        self.release();
        let mut sink = Pin::new(sink);
        while !self.queue.is_empty() {
            ready!(sink.as_mut().poll_ready(cx))?;
            if let Some(message) = self.queue.pop_front() {
                self.bytes -= message.len();
                self.written.0 += 1;
                self.written.1 += message.len() as u64;
                self.unflushed = true;
                sink.as_mut().start_send(message)?;
            }
        }
        if self.unflushed {
            ready!(sink.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
