//! From the task behind a call to its reader: answers in order, and how much the reader took.
//!
//! The writer asks for room before it takes what it would have to hold, so the queue exceeds its
//! bounds by one answer at most; an end is always taken. Both sides are polled by the same thread
//! mostly, and whole batches pass at one wake-up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use sluice_protocol::response::Answer;

/// Answers that may wait for their reader: as many frames as a socket takes of streams by default.
const MAX_ANSWERS: usize = 128;
/// Bytes of them.
const MAX_BYTES: u64 = 256 << 10;
/// With more than so many it is the reader's turn: nobody looks at the worker's pace meanwhile.
const CROWD: usize = 4;

/// What the reader took so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Items of a stream.
    pub(crate) items: u64,
    /// Their bytes, as their worker counts them.
    pub(crate) bytes: u64,
}

impl Taken {
    /// Whether either has come to what `mark` says.
    fn reaches(self, mark: Self) -> bool {
        self.items >= mark.items || self.bytes >= mark.bytes
    }
}

#[derive(Debug)]
struct State {
    /// With the bytes that each counts for.
    queue: VecDeque<(Answer, u64)>,
    bytes: u64,
    taken: Taken,
    /// Nothing will follow.
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The writer wants to hear of whatever is taken, or when so much was.
    eager: bool,
    mark: Taken,
}

/// The end of a queue that answers are put into.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Mutex<State>>);

/// The end that they are taken from.
#[derive(Debug)]
pub(super) struct Reader(Arc<Mutex<State>>);

/// An empty queue.
pub(super) fn queue() -> (Writer, Reader) {
    let state = Arc::new(Mutex::new(State {
        queue: VecDeque::new(),
        bytes: 0,
        taken: Taken::default(),
        closed: false,
        reader: None,
        writer: None,
        eager: false,
        mark: Taken::default(),
    }));
    (Writer(Arc::clone(&state)), Reader(state))
}

impl Writer {
    /// Puts an answer in, which counts for so many bytes. Only an end may come where there is no
    /// room.
    pub(crate) fn push(&self, answer: Answer, bytes: u64) {
        let mut state = self.0.lock();
        state.bytes += bytes;
        state.queue.push_back((answer, bytes));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether another item may be put in.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.queue.len() < MAX_ANSWERS && state.bytes < MAX_BYTES
    }

    /// Whether it is the reader's turn.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.0.lock();
        state.queue.len() > CROWD || state.bytes >= MAX_BYTES
    }

    /// What the reader took so far.
    pub(crate) fn taken(&self) -> Taken {
        self.0.lock().taken
    }

    /// Resolves when the reader took as much as `mark` says, or if the writer is `eager` as soon
    /// as it took more than `seen`. Cancel-safe.
    pub(crate) async fn took(&self, eager: bool, seen: Taken, mark: Taken) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if (eager && state.taken != seen) || state.taken.reaches(mark) {
                return Poll::Ready(());
            }
            (state.eager, state.mark) = (eager, mark);
            if !matches!(&state.writer, Some(waker) if waker.will_wake(cx.waker())) {
                state.writer = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Reader {
    /// The next answer; `None` when there is no writer any more.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let mut state = self.0.lock();
        let Some((answer, bytes)) = state.queue.pop_front() else {
            if state.closed {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= bytes;
        if let Answer::Item { .. } = answer {
            state.taken.items += 1;
            state.taken.bytes += bytes;
        }
        let writer = match state.eager || state.taken.reaches(state.mark) {
            true => state.writer.take(),
            false => None,
        };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use sluice_protocol::Payload;

    use super::*;

    fn item(bytes: usize) -> (Answer, u64) {
        let payload = Payload::json(vec![b'1'; bytes]);
        let last = false;
        (Answer::Item { payload, last }, bytes as u64)
    }

    fn put(writer: &Writer, bytes: usize) {
        let (answer, bytes) = item(bytes);
        writer.push(answer, bytes);
    }

    async fn next(reader: &mut Reader) -> Option<Answer> {
        poll_fn(|cx| reader.poll_next(cx)).await
    }

    fn taken(items: u64, bytes: u64) -> Taken {
        Taken { items, bytes }
    }

    const NEVER: Taken = Taken {
        items: u64::MAX,
        bytes: u64::MAX,
    };

    #[tokio::test]
    async fn it_is_bounded_in_answers_and_bytes() {
        for bytes in [1, 10_000] {
            let (writer, _reader) = queue();
            let mut count = 0;
            while writer.has_room() {
                put(&writer, bytes);
                count += 1;
            }
            assert_eq!(count, if bytes == 1 { MAX_ANSWERS } else { 27 });
        }
    }

    #[tokio::test]
    async fn what_was_taken_is_counted_and_the_end_is_not_an_item() {
        let (writer, mut reader) = queue();
        put(&writer, 5);
        put(&writer, 7);
        writer.push(Answer::StreamEnd, 0);
        assert_eq!((writer.is_crowded(), writer.taken()), (false, taken(0, 0)));
        next(&mut reader).await;
        assert_eq!((writer.is_crowded(), writer.taken()), (false, taken(1, 5)));
        next(&mut reader).await;
        assert_eq!(next(&mut reader).await, Some(Answer::StreamEnd));
        assert_eq!((writer.is_crowded(), writer.taken()), (false, taken(2, 12)));
        drop(writer);
        assert_eq!(next(&mut reader).await, None);
    }

    #[tokio::test]
    async fn the_writer_hears_of_a_crowd_that_shrinks_and_of_its_mark() {
        let (writer, mut reader) = queue();
        (0..=CROWD).for_each(|_| put(&writer, 1));
        assert_eq!((writer.is_crowded(), writer.taken()), (true, taken(0, 0)));
        let mut shrinks = pin!(writer.took(true, taken(0, 0), NEVER));
        assert!(poll!(shrinks.as_mut()).is_pending());
        next(&mut reader).await;
        shrinks.await;
        assert_eq!((writer.is_crowded(), writer.taken()), (false, taken(1, 1)));
        for mark in [taken(3, u64::MAX), taken(u64::MAX, 4)] {
            let mut reached = pin!(writer.took(false, taken(1, 1), mark));
            assert!(poll!(reached.as_mut()).is_pending());
            next(&mut reader).await;
            if mark.items == 3 {
                next(&mut reader).await;
            }
            let now = writer.taken();
            assert!(now.reaches(mark));
            reached.await;
        }
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_an_answer_and_by_the_end() {
        let (writer, mut reader) = queue();
        let reading = tokio::spawn(async move {
            let first = next(&mut reader).await;
            (first, next(&mut reader).await)
        });
        tokio::task::yield_now().await;
        put(&writer, 1);
        tokio::task::yield_now().await;
        drop(writer);
        assert_eq!(reading.await.unwrap(), (Some(item(1).0), None));
    }
}
