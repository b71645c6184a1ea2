//! Checks that come at the same moment go to Redis together.
//!
//! ```text
//! check ─┐
//! check ─┼─► waiting ── once all that is ready has run ──► one run of the script ──► each its verdict
//! check ─┘
//! ```
//!
//! Nobody waits for others to come: what is there when the task is run that the first check has
//! spawned goes out, if need be alone. A run of the script costs much more than one more call in it,
//! and most of all for calls that count in the same log.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ask::{Asker, Link};
use super::question::Question;
use crate::limiter::store::{Demand, Unavailable, Verdict};

type Answer = Result<Verdict, Unavailable>;

/// Gathers the checks of one runtime.
#[derive(Debug)]
pub(super) struct Batch<L> {
    asker: Arc<Asker<L>>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What goes out next, and who asks: in the order of the question's calls.
#[derive(Debug, Default)]
struct Waiting {
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
        self.join(demands, tell);
        let ended = || Unavailable("the connection's runtime has ended".to_owned());
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    fn join(&self, demands: &[Demand], tell: oneshot::Sender<Answer>) {
        let mut waiting = self.waiting.lock();
        if !waiting.question.has_room_for(demands) {
            let full = std::mem::take(&mut *waiting);
            let asker = self.asker.clone();
            tokio::spawn(async move { full.go(&asker).await });
        }
        let is_first = waiting.question.is_empty();
        waiting.question.add(demands, &self.asker.keys);
        waiting.callers.push(tell);
        if is_first {
            let (asker, all) = (self.asker.clone(), self.waiting.clone());
            // Runs after all that is ready now: others join meanwhile.
            tokio::spawn(async move {
                let waiting = std::mem::take(&mut *all.lock());
                waiting.go(&asker).await;
            });
        }
    }
}

impl Waiting {
    async fn go<L: Link>(self, asker: &Asker<L>) {
        // It went out already, because it was full.
        if self.question.is_empty() {
            return;
        }
        match asker.ask(&asker.generation, &self.question).await {
            Ok(verdicts) => {
                for (caller, verdict) in self.callers.into_iter().zip(verdicts) {
                    // Whoever is gone needs no answer.
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
