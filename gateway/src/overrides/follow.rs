//! Hears of changes that are made on other gateways: hints for speed, a poll for truth.

use std::time::Duration;

use sluice_protocol::Subjects;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::steering::{Steering, SteeringError};
use crate::hints::Hints;

/// The kind of hint that says that overrides have changed.
const KIND: &str = "overrides";
/// How often the store is asked whether a hint was missed.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// How often a gateway that starts asks for the overrides, and how long in all.
const FIRST_EVERY: Duration = Duration::from_millis(50);

impl Steering {
    /// Reads the overrides for the first time, so that a gateway that starts does not take calls
    /// that an operator has stopped. Gives up after `patience`: a store that is away must not keep
    /// the gateway away too. Returns whether it has them.
    pub async fn first(&self, patience: Duration) -> bool {
        let load = async {
            let mut tries = interval(FIRST_EVERY);
            loop {
                tries.tick().await;
                if self.reload().await.is_ok() {
                    return;
                }
            }
        };
        let has_them = timeout(patience, load).await.is_ok();
        if !has_them {
            tracing::warn!(
                "the operators' overrides cannot be read: what they disabled is served here until the store is back"
            );
        }
        has_them
    }

    /// Follows changes that are made on other gateways, and tells them of this one's, until
    /// `stop`.
    pub async fn follow(
        &self,
        client: Option<async_nats::Client>,
        subjects: &Subjects,
        stop: CancellationToken,
    ) {
        let mut hints = Hints::open(KIND, client, subjects).await;
        let mut made = self.made.subscribe();
        let mut polls = interval(self.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = made.changed() => {
                    let generation = *made.borrow_and_update();
                    hints.tell(generation).await;
                    continue;
                }
                _ = polls.tick() => {}
                generation = hints.next() => {
                    if generation == self.now.load().generation() {
                        continue;
                    }
                }
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "whether overrides have changed cannot be seen now");
            }
        }
    }

    /// Reads what changed, if anything did.
    pub(super) async fn refresh(&self) -> Result<(), SteeringError> {
        let known = self.now.load_full();
        let generation = self.store.generation().await?;
        if generation == known.generation() {
            return Ok(());
        }
        if generation == 0 {
            // The store has lost everything; what operators decided stands all the same.
            self.store.restore(&known.to_kept()).await?;
        }
        let generation = self.reload().await?;
        tracing::info!(generation, "overrides have changed");
        Ok(())
    }
}
