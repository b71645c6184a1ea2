//! One call that the worker holds: why it ends, when it beats, what it may send.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Subject;
use parking_lot::Mutex;
use sluice_protocol::function::ResponseType;
use sluice_protocol::headers::Credit;
use sluice_protocol::{ErrorCode, Executed};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// A handler that takes longer makes the worker beat.
const FIRST_BEAT: Duration = Duration::from_millis(100);
/// Time between beats, and the longest silence of a stream.
const NEXT_BEAT: Duration = Duration::from_secs(1);
/// A stream whose gateway grants nothing for so long is lost.
const GRANT_SILENCE: Duration = Duration::from_secs(10);
/// A handler may overrun its deadline so much before it is dropped: the gateway, which knows
/// better, is given time to cancel first.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// Why a call ends before its handler does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The caller gave it up.
    Cancelled(String),
    /// The way between gateway and worker broke.
    StreamLost(&'static str),
    /// Nobody waits any more, and nobody said so.
    Deadline,
    /// The worker stops and the call was not done in time.
    Drained,
}

/// Everything that the parts of the worker share about one call.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) call_id: String,
    pub(crate) reply: Option<Subject>,
    pub(crate) deadline: Option<Instant>,
    /// Dropped handlers, and tasks of theirs, learn it here.
    pub(crate) cancel: CancellationToken,
    response_type: ResponseType,
    idempotent: bool,
    started: AtomicBool,
    reason: Mutex<Option<EndReason>>,
    beat_at: Mutex<Option<Instant>>,
    sent: AtomicU64,
    window: Option<Window>,
}

/// How far a stream may go.
#[derive(Debug)]
struct Window {
    state: Mutex<Granted>,
    changed: Notify,
}

#[derive(Debug)]
struct Granted {
    credit: Credit,
    heard: Instant,
}

/// What a new [`Running`] is made of.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) call_id: String,
    pub(crate) reply: Option<Subject>,
    pub(crate) received: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) response_type: ResponseType,
    pub(crate) idempotent: bool,
    pub(crate) credit: Option<Credit>,
    pub(crate) cancel: CancellationToken,
}

impl Running {
    pub(crate) fn new(opening: Opening) -> Self {
        let beat_at = match opening.response_type {
            ResponseType::Sync | ResponseType::Async => Some(opening.received + FIRST_BEAT),
            // A stream starts with a frame, and is silent for a second at most.
            ResponseType::Stream => Some(opening.received + NEXT_BEAT),
            ResponseType::None => None,
        };
        let window = opening.credit.map(|credit| Window {
            state: Mutex::new(Granted {
                credit,
                heard: opening.received,
            }),
            changed: Notify::new(),
        });
        Self {
            call_id: opening.call_id,
            reply: opening.reply,
            deadline: opening.deadline,
            cancel: opening.cancel,
            response_type: opening.response_type,
            idempotent: opening.idempotent,
            started: AtomicBool::new(false),
            reason: Mutex::new(None),
            beat_at: Mutex::new(beat_at),
            sent: AtomicU64::new(0),
            window,
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.response_type == ResponseType::Stream
    }

    /// The handler is about to run: from now on the call may have had effects.
    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Ends the call for this reason; the first reason counts.
    pub(crate) fn end(&self, reason: EndReason) {
        self.reason.lock().get_or_insert(reason);
        self.cancel.cancel();
    }

    /// What the caller is told when [`Self::end`] was quicker than the handler.
    pub(crate) fn end_error(&self) -> Error {
        let started = self.started.load(Ordering::Relaxed);
        let executed = if started {
            Executed::Unknown
        } else {
            Executed::No
        };
        let repeatable = executed == Executed::No || self.idempotent;
        let (code, message) = match &*self.reason.lock() {
            Some(EndReason::StreamLost(why)) => (ErrorCode::StreamLost, (*why).to_owned()),
            Some(EndReason::Deadline) => (
                ErrorCode::Timeout,
                "the handler overran its deadline".into(),
            ),
            Some(EndReason::Drained) => {
                let text = "the worker stopped before the call was done";
                return Error::of(ErrorCode::Cancelled, text)
                    .executed(executed)
                    .can_retry(repeatable);
            }
            Some(EndReason::Cancelled(why)) if !why.is_empty() => (
                ErrorCode::Cancelled,
                format!("the call was cancelled: {why}"),
            ),
            Some(EndReason::Cancelled(_)) | None => {
                (ErrorCode::Cancelled, "the call was cancelled".into())
            }
        };
        let can_retry = code.is_transient() && repeatable;
        Error::of(code, message)
            .executed(executed)
            .can_retry(can_retry)
    }

    /// Ends the call if a limit of time has passed.
    pub(crate) fn enforce_limits(&self, now: Instant) {
        let silent = self
            .window
            .as_ref()
            .is_some_and(|w| now >= w.state.lock().heard + GRANT_SILENCE);
        if silent {
            self.end(EndReason::StreamLost("no credit was heard for 10 s"));
        }
        // The time limits of a stream are the gateway's; of `none`, there are none once taken.
        let timed = matches!(self.response_type, ResponseType::Sync | ResponseType::Async);
        if timed && self.deadline.is_some_and(|d| now >= d + DEADLINE_GRACE) {
            self.end(EndReason::Deadline);
        }
    }

    /// Whether a beat is due; if so the next one is a second away.
    pub(crate) fn take_beat(&self, now: Instant) -> bool {
        let mut beat_at = self.beat_at.lock();
        let due = beat_at.is_some_and(|at| now >= at);
        if due {
            *beat_at = Some(now + NEXT_BEAT);
        }
        due
    }

    /// The final reply is out: no beat may follow.
    pub(crate) fn silence(&self) {
        *self.beat_at.lock() = None;
    }

    /// Items that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// An item has been handed to the connection. Not before: a beat that names it must follow it.
    pub(crate) fn item_sent(&self, seq: u64, now: Instant) {
        self.sent.store(seq, Ordering::Release);
        if let Some(at) = &mut *self.beat_at.lock() {
            *at = now + NEXT_BEAT;
        }
    }

    /// Takes a grant. Grants are cumulative, and an old one may arrive late.
    pub(crate) fn grant(&self, credit: Credit, now: Instant) {
        if let Some(window) = &self.window {
            let mut state = window.state.lock();
            state.credit.items = state.credit.items.max(credit.items);
            state.credit.bytes = state.credit.bytes.max(credit.bytes);
            state.heard = now;
            drop(state);
            window.changed.notify_waiters();
        }
    }

    /// Whether its items need credit.
    pub(crate) fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// Whether item `seq` may be sent now, after `bytes` bytes of items.
    pub(crate) fn has_credit(&self, seq: u64, bytes: u64) -> bool {
        self.window.as_ref().is_none_or(|window| {
            let credit = window.state.lock().credit;
            seq <= credit.items && bytes <= credit.bytes
        })
    }

    /// Waits until item `seq` may be sent after `bytes` bytes of items.
    ///
    /// One item may go beyond the granted bytes, or an item larger than the window never could.
    pub(crate) async fn credit_for(&self, seq: u64, bytes: u64) -> Result<(), Error> {
        if let Some(window) = &self.window {
            while !self.has_credit(seq, bytes) {
                let changed = window.changed.notified();
                tokio::pin!(changed);
                // Listens from here on, so that no grant falls between the look and the wait.
                changed.as_mut().enable();
                if self.has_credit(seq, bytes) {
                    break;
                }
                tokio::select! {
                    () = changed => {}
                    () = self.cancel.cancelled() => break,
                }
            }
        }
        self.check()
    }

    /// The error of a call that ends before its handler does.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(self.end_error());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn opening(response_type: ResponseType, credit: Option<Credit>) -> Opening {
    Opening {
        call_id: "c1".into(),
        reply: None,
        received: Instant::now(),
        deadline: None,
        response_type,
        idempotent: false,
        credit,
        cancel: CancellationToken::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn beats_come_after_100_ms_and_then_each_second() {
        let call = Running::new(opening(ResponseType::Sync, None));
        let start = Instant::now();
        let beats: Vec<u128> = (0..250_u32)
            .map(|tick| start + Duration::from_millis(10) * tick)
            .filter(|now| call.take_beat(*now))
            .map(|now| (now - start).as_millis())
            .collect();
        assert_eq!(beats, [100, 1100, 2100]);
        call.silence();
        assert!(!call.take_beat(start + SECOND * 60));
        let none = Running::new(opening(ResponseType::None, None));
        assert!(!none.take_beat(start + SECOND * 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_beats_only_where_no_item_was_sent_for_a_second() {
        let call = Running::new(opening(ResponseType::Stream, None));
        let start = Instant::now();
        call.item_sent(1, start + SECOND / 2);
        assert!(!call.take_beat(start + SECOND));
        assert!(call.take_beat(start + SECOND / 2 * 3));
        assert_eq!(call.sent(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn credit_holds_items_back_and_one_may_overshoot_the_bytes() {
        let credit = |items, bytes| Credit { items, bytes };
        let call = Arc::new(Running::new(opening(
            ResponseType::Stream,
            Some(credit(2, 100)),
        )));
        let may = |seq, bytes| call.credit_for(seq, bytes).now_or_never();
        assert!(may(1, 0).is_some());
        assert!(may(2, 100).is_some());
        assert!(may(2, 101).is_none(), "the bytes are used up");
        assert!(may(3, 0).is_none(), "the items are used up");
        let waiting = tokio::spawn({
            let call = call.clone();
            async move { call.credit_for(3, 150).await.is_ok() }
        });
        tokio::task::yield_now().await;
        call.grant(credit(3, 200), Instant::now());
        call.grant(credit(1, 1), Instant::now());
        assert!(waiting.await.unwrap());
        assert!(may(3, 150).is_some(), "an old grant takes nothing back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_grants_for_ten_seconds_is_lost() {
        let credit = Credit { items: 0, bytes: 0 };
        let call = Running::new(opening(ResponseType::Stream, Some(credit)));
        call.grant(credit, Instant::now() + SECOND * 5);
        call.enforce_limits(Instant::now() + SECOND * 14);
        assert!(!call.cancel.is_cancelled());
        call.enforce_limits(Instant::now() + SECOND * 15);
        let error = call.credit_for(1, 0).await.unwrap_err();
        assert_eq!(error.code(), "stream_lost");
        let free = Running::new(opening(ResponseType::Stream, None));
        free.enforce_limits(Instant::now() + SECOND * 60);
        assert!(!free.cancel.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_far_beyond_its_deadline_is_ended() {
        let mut opening = opening(ResponseType::Sync, None);
        opening.deadline = Some(Instant::now() + SECOND);
        let call = Running::new(opening);
        call.start();
        call.enforce_limits(Instant::now() + SECOND * 3 / 2);
        assert!(!call.cancel.is_cancelled());
        call.enforce_limits(Instant::now() + SECOND * 2);
        assert_eq!(call.end_error().code(), "timeout");
        assert_eq!(call.end_error().was_executed(), Executed::Unknown);
    }

    #[test]
    fn the_first_reason_counts_and_a_call_that_never_started_did_not_run() {
        let call = Running::new(Opening {
            received: Instant::now(),
            ..opening(ResponseType::Sync, None)
        });
        call.end(EndReason::Drained);
        call.end(EndReason::Cancelled("late".into()));
        let error = call.end_error();
        assert_eq!(error.code(), "cancelled");
        assert_eq!(error.was_executed(), Executed::No);
        assert!(error.is_retryable());
    }
}
