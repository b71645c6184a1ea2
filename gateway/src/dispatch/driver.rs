//! The task behind an acknowledged call: moves its answers to the edge, keeps a stream's credit
//! going while the client is slow, and cancels when the client is gone.
//!
//! All that has come is handed on at one wake-up, up to what the queue to the edge holds; timers
//! and the rest of what may happen are looked at between such batches.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_protocol::CallError;
use sluice_protocol::headers::Credit;
use sluice_protocol::response::Answer;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::exchange::{Exchange, Progress};
use crate::live::{Stream, Ticket};
use crate::reply::{Taken, Writer};

/// Grants are repeated: a worker that hears none for five of these gives the stream up.
const GRANT_INTERVAL: Duration = Duration::from_secs(2);

/// Runs a call from its first progress to its final answer.
pub(super) async fn drive(
    exchange: Box<Exchange>,
    first: Progress,
    answers: Writer,
    cancel: CancellationToken,
    mut ticket: Option<Ticket<Stream>>,
) {
    let mut driver = Driver::new(exchange, answers);
    let mut grants = interval(GRANT_INTERVAL);
    grants.set_missed_tick_behavior(MissedTickBehavior::Delay);
    grants.reset();
    let late = tokio::time::sleep_until(driver.exchange.deadline);
    tokio::pin!(late);
    let stall = driver.exchange.context.options.stream_stall;
    // The timer is set anew when it fires, not for each item.
    let stalled = tokio::time::sleep_until(driver.client_since + stall);
    tokio::pin!(stalled);
    let gone = cancel.cancelled();
    tokio::pin!(gone);
    let mut over = driver.hand_on(Ok(first));
    while !over && !driver.hand_on_waiting() {
        let taken = driver.answers.taken();
        if taken != driver.exchange.taken {
            driver.took(taken).await;
        }
        let crowded = driver.is_crowded();
        if let Some(ticket) = &ticket {
            ticket.what().items.store(taken.items, Ordering::Relaxed);
        }
        let mark = driver.mark();
        tokio::select! {
            biased;
            () = &mut gone => {
                driver.exchange.give_up("client_gone");
                return;
            }
            // First of all, and also while the client takes nothing.
            () = &mut late => {
                let error = driver.exchange.overdue();
                over = driver.hand_on(Err(error));
            }
            reason = closed(&mut ticket) => {
                let error = driver.exchange.closed(&reason);
                over = driver.hand_on(Err(error));
            }
            () = &mut stalled, if crowded => {
                let limit = driver.client_since + stall;
                if Instant::now() < limit {
                    stalled.as_mut().reset(limit);
                } else {
                    // Its client costs itself, not the worker: after what waits comes the end.
                    let error = driver.exchange.stalled();
                    over = driver.hand_on(Err(error));
                }
            }
            _ = grants.tick() => driver.grant().await,
            () = driver.answers.took(crowded, taken, mark) => {}
            progress = driver.exchange.next(), if !crowded => {
                driver.client_since = Instant::now();
                over = driver.hand_on(progress);
            }
        }
    }
}

/// A call on its way from its worker to its client.
struct Driver {
    exchange: Box<Exchange>,
    answers: Writer,
    granted: Credit,
    /// Since when it is the client's turn, if it is.
    client_since: Instant,
}

impl Driver {
    fn new(exchange: Box<Exchange>, answers: Writer) -> Self {
        Self {
            granted: exchange.credit(),
            exchange,
            answers,
            client_since: Instant::now(),
        }
    }

    /// Puts what came into the queue; true if it was the end.
    fn hand_on(&mut self, progress: Result<Progress, CallError>) -> bool {
        let (answer, bytes) = match progress {
            // The edge tells of the acceptance itself.
            Ok(Progress::Accepted) => return false,
            Ok(Progress::Item {
                payload,
                last,
                bytes,
            }) => (Answer::Item { payload, last }, bytes),
            Ok(Progress::End) => (Answer::StreamEnd, 0),
            Ok(Progress::Result(payload)) => (Answer::Result(payload), 0),
            Err(error) => (Answer::Error(Box::new(error)), 0),
        };
        let over = answer.is_final();
        self.answers.push(answer, bytes);
        over
    }

    /// Hands on all that has come already and that there is room for; true after the end.
    fn hand_on_waiting(&mut self) -> bool {
        let now = Instant::now();
        let crowded = self.is_crowded();
        let mut any = false;
        let mut over = false;
        while !over && self.answers.has_room() {
            let Some(progress) = self.exchange.next_waiting(now) else {
                break;
            };
            over = self.hand_on(progress);
            any = true;
        }
        if any {
            self.exchange.resume();
        }
        // A client whose turn it was does not get more time by getting more to take.
        if any && !crowded {
            self.client_since = now;
        }
        over
    }

    /// Whether it is the client's turn.
    fn is_crowded(&self) -> bool {
        let exchange = &self.exchange;
        // The worker cannot go on before the client does: its silence says nothing.
        let spent = exchange.items >= self.granted.items || exchange.bytes >= self.granted.bytes;
        spent || self.answers.is_crowded()
    }

    /// When the client took so much, half a window is used up.
    fn mark(&self) -> Taken {
        let options = &self.exchange.context.options;
        let (items, bytes) = (options.stream_items, options.stream_bytes);
        Taken {
            items: (self.granted.items - items).saturating_add(items.div_ceil(2)),
            bytes: (self.granted.bytes - bytes).saturating_add(bytes.div_ceil(2)),
        }
    }

    /// The client took something: the time between frames starts anew, and the worker hears of it
    /// before it has to wait.
    async fn took(&mut self, taken: Taken) {
        let due = self.mark();
        self.exchange.taken = taken;
        self.client_since = Instant::now();
        self.exchange.resume();
        if taken.items >= due.items || taken.bytes >= due.bytes {
            self.grant().await;
        }
    }

    async fn grant(&mut self) {
        self.granted = self.exchange.credit();
        self.exchange.grant().await;
    }
}

/// Resolves when an operator closes it.
async fn closed(ticket: &mut Option<Ticket<Stream>>) -> String {
    match ticket {
        Some(ticket) => ticket.closed().await.to_owned(),
        None => std::future::pending().await,
    }
}
