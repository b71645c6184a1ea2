//! What a call that passed the pipeline answers.

mod queue;

use std::task::{Context, Poll, ready};

use std::fmt::Debug;

use sluice_protocol::CallError;
use sluice_protocol::payload::Payload;
use sluice_protocol::response::Answer;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::queue::Reader;
pub(crate) use self::queue::{Taken, Writer};
use crate::telemetry::CallRecord;

/// The first thing to tell the client.
#[derive(Debug)]
pub enum Reply {
    /// `none`: a worker took the call; nothing else follows.
    Accepted,
    /// `sync`: the result.
    Result(Payload),
    /// `async`: taken; one final answer follows.
    Async(Answers),
    /// `stream`: opened; items follow, then one final answer.
    Stream(Answers),
}

/// Answers that follow an acknowledgement. Dropping them cancels the call at its worker.
///
/// The last one is final ([`Answer::is_final`]): exactly one, always.
#[derive(Debug)]
pub struct Answers {
    source: Source,
    cancel: Option<DropGuard>,
    ended: bool,
    guard: Option<Box<dyn Guard>>,
    over: Over,
    due: Option<Instant>,
    record: Option<Box<CallRecord>>,
    each: Each,
}

/// Where they come from.
#[derive(Debug)]
enum Source {
    /// Whoever answers calls in place of the gateway's dispatcher.
    Channel(mpsc::Receiver<Answer>),
    Queue(Reader),
}

type Listener = Box<dyn FnOnce(Option<&Answer>) + Send + Sync>;

/// Who wants to hear how it ended; hears also of a reader that goes away before.
#[derive(Default)]
struct Over(Option<Listener>);

impl Over {
    fn tell(&mut self, answer: Option<&Answer>) {
        if let Some(listener) = self.0.take() {
            listener(answer);
        }
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.tell(None);
    }
}

impl Debug for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Over").field(&self.0.is_some()).finish()
    }
}

impl Reply {
    /// The same reply; what is still to come keeps `guard` until its final answer.
    #[must_use]
    pub fn holding(self, guard: impl Debug + Send + Sync + 'static) -> Self {
        let hold = |mut answers: Answers| {
            answers.guard = Some(Box::new(guard));
            answers
        };
        match self {
            Self::Accepted | Self::Result(_) => self,
            Self::Async(answers) => Self::Async(hold(answers)),
            Self::Stream(answers) => Self::Stream(hold(answers)),
        }
    }
}

type Change = Box<dyn FnMut(Answer) -> Answer + Send + Sync>;

/// What becomes of each answer before anybody sees it.
#[derive(Default)]
struct Each(Option<Change>);

impl Debug for Each {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Each").field(&self.0.is_some()).finish()
    }
}

impl Reply {
    /// The same reply; the answer of an async call is there by `due` at the latest.
    #[must_use]
    pub(crate) fn due(self, due: Instant) -> Self {
        match self {
            Self::Async(mut answers) => {
                answers.due = Some(due);
                Self::Async(answers)
            }
            other => other,
        }
    }

    /// The same reply; each answer that is still to come passes `change`, after whatever it passes
    /// already.
    #[must_use]
    pub(crate) fn changed_by(
        self,
        change: impl FnMut(Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let with = |mut answers: Answers| {
            answers.each = Each(Some(match answers.each.0.take() {
                None => Box::new(change),
                Some(mut first) => {
                    let mut change = change;
                    Box::new(move |answer| change(first(answer)))
                }
            }));
            answers
        };
        match self {
            Self::Accepted | Self::Result(_) => self,
            Self::Async(answers) => Self::Async(with(answers)),
            Self::Stream(answers) => Self::Stream(with(answers)),
        }
    }

    /// The same reply; `listener` hears the final answer of what is still to come, `None` if its
    /// reader goes away before.
    #[must_use]
    pub(crate) fn when_over(
        self,
        listener: impl FnOnce(Option<&Answer>) + Send + Sync + 'static,
    ) -> Self {
        let listen = |mut answers: Answers| {
            answers.over = Over(Some(Box::new(listener)));
            answers
        };
        match self {
            Self::Accepted | Self::Result(_) => self,
            Self::Async(answers) => Self::Async(listen(answers)),
            Self::Stream(answers) => Self::Stream(listen(answers)),
        }
    }
}

/// Anything that is to be dropped with the answers.
trait Guard: Debug + Send + Sync {}
impl<T: Debug + Send + Sync> Guard for T {}

impl Answers {
    /// Answers that `receiver` yields; `cancel` is triggered when the reader goes away.
    #[must_use]
    pub fn new(receiver: mpsc::Receiver<Answer>, cancel: CancellationToken) -> Self {
        Self::from_source(Source::Channel(receiver), cancel)
    }

    /// Answers that are put into the queue, many at a time.
    pub(crate) fn queued(cancel: CancellationToken) -> (Writer, Self) {
        let (writer, reader) = queue::queue();
        (writer, Self::from_source(Source::Queue(reader), cancel))
    }

    fn from_source(source: Source, cancel: CancellationToken) -> Self {
        Self {
            source,
            cancel: Some(cancel.drop_guard()),
            ended: false,
            guard: None,
            over: Over::default(),
            due: None,
            record: None,
            each: Each::default(),
        }
    }

    /// By when the final answer is there; `None`: nobody has said.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.due
    }

    /// The same answers, each noted in the record of their call.
    pub(crate) fn recorded(mut self, record: CallRecord) -> Self {
        self.record = Some(Box::new(record));
        self
    }

    /// The next answer; `None` after the final one. Cancel-safe.
    pub async fn next(&mut self) -> Option<Answer> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next answer, for bodies that are polled; `None` after the final one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // The sender always sends a final answer; if its task died, say so instead of nothing.
        let answer = match &mut self.source {
            Source::Channel(receiver) => receiver.poll_recv(cx),
            Source::Queue(queue) => queue.poll_next(cx),
        };
        let answer = ready!(answer).unwrap_or_else(|| {
            let text = "the call ended without an answer; whether it ran is unknown";
            Answer::from(
                CallError::new(sluice_protocol::ErrorCode::Internal, text)
                    .with_executed(sluice_protocol::Executed::Unknown, false),
            )
        });
        let came_to_its_end = answer.is_final();
        let answer = match &mut self.each.0 {
            Some(change) => change(answer),
            None => answer,
        };
        self.ended = answer.is_final();
        if let Some(record) = &mut self.record {
            record.answer(&answer);
        }
        if self.ended {
            // Nothing is left to cancel, but where a change of answers ended the call before.
            let cancel = self.cancel.take();
            cancel.filter(|_| came_to_its_end).map(DropGuard::disarm);
            self.guard = None;
            self.over.tell(Some(&answer));
        }
        Poll::Ready(Some(answer))
    }
}
