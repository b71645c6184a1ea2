//! The task behind an acknowledged call: moves its answers to the edge, keeps a stream's credit
//! going while the client is slow, and cancels when the client is gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_protocol::CallError;
use sluice_protocol::response::Answer;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::exchange::{Exchange, Progress};
use crate::live::{Stream, Ticket};

/// Grants are repeated: a worker that hears none for five of these gives the stream up.
const GRANT_INTERVAL: Duration = Duration::from_secs(2);

/// Runs a call from its first progress to its final answer.
pub(super) async fn drive(
    mut exchange: Box<Exchange>,
    first: Progress,
    answers: mpsc::Sender<Answer>,
    cancel: CancellationToken,
    mut ticket: Option<Ticket<Stream>>,
) {
    let mut grants = interval(GRANT_INTERVAL);
    grants.set_missed_tick_behavior(MissedTickBehavior::Delay);
    grants.reset();
    let mut granted = exchange.credit();
    let mut overdue = false;
    let late = tokio::time::sleep_until(exchange.deadline);
    tokio::pin!(late);
    let stall = exchange.context.options.stream_stall;
    // Since when it is the client's turn. The timer is set anew when it fires, not for each item.
    let mut client_since = Instant::now();
    let stalled = tokio::time::sleep_until(client_since + stall);
    tokio::pin!(stalled);
    let gone = cancel.cancelled();
    tokio::pin!(gone);
    let mut waiting = answer_of(first);
    loop {
        tokio::select! {
            biased;
            () = &mut gone => {
                exchange.give_up("client_gone");
                return;
            }
            // First of all, and also while the client takes nothing.
            () = &mut late, if !overdue => {
                overdue = true;
                if !waiting.as_ref().is_some_and(Answer::is_final) {
                    waiting = Some(final_error(exchange.overdue()));
                }
            }
            reason = closed(&mut ticket), if !overdue => {
                overdue = true;
                waiting = Some(final_error(exchange.closed(&reason)));
            }
            () = &mut stalled, if waiting.is_some() && !overdue => {
                let limit = client_since + stall;
                if Instant::now() < limit {
                    stalled.as_mut().reset(limit);
                    continue;
                }
                // Its client costs itself, not the worker: whatever it reads next is the end.
                overdue = true;
                waiting = Some(final_error(exchange.stalled()));
            }
            _ = grants.tick(), if !overdue => exchange.grant().await,
            permit = answers.reserve(), if waiting.is_some() => {
                let (Ok(permit), Some(answer)) = (permit, waiting.take()) else { return };
                let over = answer.is_final();
                if let (Some(ticket), Answer::Item { .. }) = (&ticket, &answer) {
                    ticket.what().items.fetch_add(1, Ordering::Relaxed);
                }
                permit.send(answer);
                if over {
                    return;
                }
                exchange.resume();
                // Half a window used up: say so before the worker has to wait.
                let (credit, options) = (exchange.credit(), &exchange.context.options);
                if credit.items - granted.items >= options.stream_items.div_ceil(2)
                    || credit.bytes - granted.bytes >= options.stream_bytes.div_ceil(2)
                {
                    granted = credit;
                    exchange.grant().await;
                }
            }
            progress = exchange.next(), if waiting.is_none() => {
                client_since = Instant::now();
                waiting = match progress {
                    Ok(progress) => answer_of(progress),
                    Err(error) => Some(final_error(error)),
                };
            }
        }
    }
}

/// Resolves when an operator closes it.
async fn closed(ticket: &mut Option<Ticket<Stream>>) -> String {
    match ticket {
        Some(ticket) => ticket.closed().await.to_owned(),
        None => std::future::pending().await,
    }
}

fn final_error(error: CallError) -> Answer {
    Answer::Error(Box::new(error))
}

fn answer_of(progress: Progress) -> Option<Answer> {
    match progress {
        // The edge tells of the acceptance itself.
        Progress::Accepted => None,
        Progress::Item { payload, last } => Some(Answer::Item { payload, last }),
        Progress::End => Some(Answer::StreamEnd),
        Progress::Result(payload) => Some(Answer::Result(payload)),
    }
}
