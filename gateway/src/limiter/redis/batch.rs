//! Checks that come at the same moment go to Redis together.
//!
//! ```text
//! check ─┐
//! check ─┼─► waiting ── once all that is ready has run ──► one run of the script ──► each its verdict
//! check ─┘
//! ```
//!
//! Nobody waits for others to come: what is there when the task is run that the first check has
//! spawned, one look at the sockets later, goes out, if need be alone. A run of the script costs much
//! more than one more call in it, and most of all for calls that count in the same log.

use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::ask::{Asker, Link};
use super::question::Question;
use crate::limiter::store::{Demand, Unavailable, Verdict};

type Answer = Result<Verdict, Unavailable>;

/// Gathers the checks of one runtime.
#[derive(Debug)]
pub(super) struct Batch<L> {
    asker: Arc<Asker<L>>,
    /// All that goes out next: one run of the script each, mostly one.
    waiting: Arc<Mutex<Vec<Run>>>,
}

/// One run, and who asks: in the order of the question's calls.
#[derive(Debug, Default)]
struct Run {
    question: Question,
    callers: Vec<oneshot::Sender<Answer>>,
}

impl<L: Link + 'static> Batch<L> {
    pub(super) fn new(asker: Arc<Asker<L>>) -> Self {
        Self {
            asker,
            waiting: Arc::default(),
        }
    }

    /// Checks the limits of one call. Whoever gives up waiting is counted all the same.
    pub(super) async fn check(&self, demands: &[Demand]) -> Answer {
        let (tell, told) = oneshot::channel();
        if self.join(demands, tell) {
            let (asker, waiting) = (self.asker.clone(), self.waiting.clone());
            // Runs after all that is ready now, and what clients have sent by then: others join
            // meanwhile.
            tokio::spawn(async move {
                yield_now().await;
                let runs = std::mem::take(&mut *waiting.lock());
                join_all(runs.into_iter().map(|run| run.go(&asker))).await;
            });
        }
        let ended = || Unavailable("the connection's runtime has ended".to_owned());
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Whether nobody waited before.
    fn join(&self, demands: &[Demand], tell: oneshot::Sender<Answer>) -> bool {
        let mut waiting = self.waiting.lock();
        let is_first = waiting.is_empty();
        let last = waiting.last();
        if !last.is_some_and(|run| run.question.has_room_for(demands)) {
            waiting.push(Run::default());
        }
        if let Some(run) = waiting.last_mut() {
            run.question.add(demands, &self.asker.keys);
            run.callers.push(tell);
        }
        is_first
    }
}

impl Run {
    async fn go<L: Link>(self, asker: &Asker<L>) {
        let answer = asker.ask(&asker.generation, &self.question).await;
        // Whoever is gone needs no answer.
        match answer {
            Ok(verdicts) => {
                for (caller, verdict) in self.callers.into_iter().zip(verdicts) {
                    let _ = caller.send(Ok(verdict));
                }
            }
            Err(error) => {
                for caller in self.callers {
                    let _ = caller.send(Err(error.clone()));
                }
            }
        }
    }
}
