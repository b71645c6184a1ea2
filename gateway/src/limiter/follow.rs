//! Keeps the rules as the store has them: hints for speed, a poll for truth.

use std::sync::Arc;

use sluice_protocol::Subjects;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Limiter;
use super::rules::Rules;
use super::store::Unavailable;
use crate::hints::Hints;

/// The kind of hint that says that limits have changed.
const KIND: &str = "limits";

impl Limiter {
    /// Takes over what the store has now.
    pub(super) async fn reload(&self) -> Result<(), Unavailable> {
        let changes = self.store.changes().await?;
        let before = self.rules.load();
        if before.is_made_of(&changes) {
            return Ok(());
        }
        let rules = Rules::new(&self.base, changes, &before);
        tracing::info!(
            generation = rules.generation,
            limits = rules.list().len(),
            "limits have changed"
        );
        self.rules.store(Arc::new(rules));
        // Whom the old rules refused may pass under the new ones, or was reset.
        self.denied.clear();
        Ok(())
    }

    /// Follows changes that are made on other gateways, and tells them of this one's, until
    /// `stop`. Without it, changes by others are seen when a call meets the store.
    pub async fn follow(
        &self,
        client: Option<async_nats::Client>,
        subjects: &Subjects,
        stop: CancellationToken,
    ) {
        let mut hints = Hints::open(KIND, client, subjects).await;
        let mut changed = self.changed.subscribe();
        let mut polls = interval(self.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changed.changed() => {
                    let generation = *changed.borrow_and_update();
                    hints.tell(generation).await;
                    continue;
                }
                _ = polls.tick() => {}
                () = self.stale.notified() => {}
                generation = hints.next() => {
                    if generation == self.rules.load().generation {
                        continue;
                    }
                }
            }
            if let Err(error) = self.reload().await {
                tracing::debug!(%error, "whether limits have changed cannot be seen now");
            }
        }
    }
}
