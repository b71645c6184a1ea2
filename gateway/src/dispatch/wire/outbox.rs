//! What waits to be written to the broker: protocol text, appended by whoever publishes, written
//! by the connection's task in as few writes as come about.

use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::dispatch::broker::{Outgoing, PublishError};

/// Bytes that may wait; one message may overshoot.
const MOST: usize = 16 * 1024 * 1024;

/// How much text waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// Messages, and other operations.
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// The text that waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    writer: AtomicWaker,
    relieved: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// How many messages and other operations they are.
    messages: usize,
    open: bool,
}

impl Outbox {
    /// Takes messages from now on; `first` goes before them.
    pub(super) fn open(&self, first: &str) {
        let mut state = self.state.lock();
        state.bytes.clear();
        state.bytes.extend_from_slice(first.as_bytes());
        state.messages = usize::from(!first.is_empty());
        state.open = true;
    }

    /// Takes none; what waits is dropped.
    pub(super) fn close(&self) {
        *self.state.lock() = State::default();
        self.relieved.notify_waiters();
    }

    /// Appends a message.
    pub(super) fn push(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        {
            let mut state = self.state.lock();
            if !state.open {
                return Err(PublishError::NotConnected);
            }
            if state.bytes.len() >= MOST {
                return Err(PublishError::Full);
            }
            write(message, &mut state.bytes);
            state.messages += 1;
        }
        self.writer.wake();
        Ok(())
    }

    /// Appends an operation without arguments, for the connection's own task.
    pub(super) fn push_line(&self, line: &'static str) {
        let mut state = self.state.lock();
        if state.open {
            state.bytes.extend_from_slice(line.as_bytes());
            state.messages += 1;
        }
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> Waiting {
        let state = self.state.lock();
        Waiting {
            messages: state.messages,
            bytes: state.bytes.len(),
        }
    }

    /// Swaps what waits into `batch`, which must be empty; `writer` is woken when more comes.
    pub(super) fn take(&self, batch: &mut Vec<u8>, writer: &Waker) {
        self.writer.register(writer);
        let mut state = self.state.lock();
        let was_full = state.bytes.len() >= MOST;
        std::mem::swap(&mut state.bytes, batch);
        state.messages = 0;
        drop(state);
        if was_full {
            self.relieved.notify_waiters();
        }
    }

    /// Resolves when there is room, or nothing to have room in.
    pub(super) async fn room(&self) {
        let relieved = self.relieved.notified();
        tokio::pin!(relieved);
        // Before the look, so that relief in between is not missed.
        relieved.as_mut().enable();
        {
            let state = self.state.lock();
            if !state.open || state.bytes.len() < MOST {
                return;
            }
        }
        relieved.await;
    }
}

/// `PUB subject [reply] size`, `HPUB subject [reply] header_size size`.
fn write(message: &Outgoing<'_>, out: &mut Vec<u8>) {
    let Outgoing {
        subject,
        reply,
        headers,
        body,
    } = message;
    let reply = reply.as_deref().unwrap_or_default();
    out.reserve(64 + subject.len() + reply.len() + headers.lines().len() + body.len());
    let mut digits = itoa::Buffer::new();
    // The lines, and an empty one.
    let head = if headers.is_empty() {
        out.extend_from_slice(b"PUB ");
        0
    } else {
        out.extend_from_slice(b"HPUB ");
        headers.lines().len() + 2
    };
    out.extend_from_slice(subject.as_bytes());
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply.as_bytes());
        out.push(b' ');
    }
    if head > 0 {
        out.extend_from_slice(digits.format(head).as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(digits.format(head + body.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    if head > 0 {
        out.extend_from_slice(headers.lines());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;

    fn message(body: &'static [u8]) -> Outgoing<'static> {
        Outgoing::bare("a.b", None, Bytes::from_static(body))
    }

    fn taken(outbox: &Outbox) -> String {
        let mut batch = Vec::new();
        outbox.take(&mut batch, Waker::noop());
        String::from_utf8(batch).unwrap()
    }

    #[test]
    fn messages_as_nats_has_them() {
        let outbox = Outbox::default();
        outbox.open("SUB x 1\r\n");
        outbox.push(&message(b"hello")).unwrap();
        let mut full = message(b"{}");
        full.reply = Some("r.1".into());
        full.headers.insert("A", "1");
        outbox.push(&full).unwrap();
        outbox.push_line("PONG\r\n");
        assert_eq!(
            taken(&outbox),
            "SUB x 1\r\nPUB a.b 5\r\nhello\r\nHPUB a.b r.1 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\n{}\r\nPONG\r\n"
        );
        assert_eq!(taken(&outbox), "");
    }

    #[test]
    fn nothing_is_taken_without_a_connection_and_nothing_is_kept_over_one() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push(&message(b"")), Err(PublishError::NotConnected));
        outbox.open("");
        outbox.push(&message(b"")).unwrap();
        outbox.close();
        assert_eq!(outbox.push(&message(b"")), Err(PublishError::NotConnected));
        outbox.open("");
        assert_eq!(taken(&outbox), "");
    }

    #[tokio::test]
    async fn who_comes_too_fast_waits_for_room() {
        static LARGE: [u8; MOST] = [b'x'; MOST];
        let outbox = Arc::new(Outbox::default());
        outbox.open("");
        outbox.push(&message(&LARGE)).unwrap();
        assert_eq!(outbox.push(&message(b"")), Err(PublishError::Full));
        let waits = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        taken(&outbox);
        waits.await.unwrap();
        outbox.push(&message(b"")).unwrap();
        assert!(outbox.room().now_or_never().is_some());
        outbox.push(&message(&LARGE)).unwrap();
        let waits = outbox.room();
        outbox.close();
        waits.await;
    }
}
