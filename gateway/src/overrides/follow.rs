//! Hears of changes that are made on other gateways: hints for speed, a poll for truth.

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sluice_protocol::{PROTOCOL_VERSION, Subjects};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::steering::{Steering, SteeringError};

/// The kind of event that says that overrides have changed.
const KIND: &str = "overrides";
const MAX_BYTES: usize = 1024;
/// How often the store is asked whether a hint was missed.
const POLL: Duration = Duration::from_millis(500);
/// How often a gateway that starts asks for the overrides, and how long in all.
const FIRST_EVERY: Duration = Duration::from_millis(50);

/// What a gateway says on `<prefix>.gateway.event`. Unknown fields and kinds are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    /// Of what is in the store now.
    generation: u64,
}

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
        let mut hints = self.subscribe(client.as_ref(), subjects).await;
        let mut made = self.made.subscribe();
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = made.changed() => {
                    let generation = *made.borrow_and_update();
                    tell(client.as_ref(), subjects, generation).await;
                    continue;
                }
                _ = polls.tick() => {}
                Some(hint) = next(&mut hints) => {
                    if !self.is_news(&hint.payload) {
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

    async fn subscribe(
        &self,
        client: Option<&async_nats::Client>,
        subjects: &Subjects,
    ) -> Option<async_nats::Subscriber> {
        match client?.subscribe(subjects.event()).await {
            Ok(hints) => Some(hints),
            Err(error) => {
                tracing::error!(%error, "hints of changed overrides are not heard; the poll sees them later");
                None
            }
        }
    }

    fn is_news(&self, body: &[u8]) -> bool {
        if body.len() > MAX_BYTES {
            return false;
        }
        let known = self.now.load().generation();
        serde_json::from_slice::<Event>(body)
            .is_ok_and(|event| event.kind == KIND && event.generation != known)
    }
}

/// Never resolves where nothing can be heard (any more).
async fn next(hints: &mut Option<async_nats::Subscriber>) -> Option<async_nats::Message> {
    if let Some(subscriber) = hints {
        let hint = subscriber.next().await;
        if hint.is_some() {
            return hint;
        }
        *hints = None;
    }
    std::future::pending().await
}

async fn tell(client: Option<&async_nats::Client>, subjects: &Subjects, generation: u64) {
    let event = Event {
        kind: KIND.to_owned(),
        protocol: PROTOCOL_VERSION,
        generation,
    };
    let Some(client) = client else {
        return;
    };
    let body = serde_json::to_vec(&event).unwrap_or_default();
    if let Err(error) = client.publish(subjects.event(), body.into()).await {
        tracing::debug!(%error, "other gateways see changed overrides with their next poll");
    }
}
