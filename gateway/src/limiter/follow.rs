//! Keeps the rules as the store has them: hints for speed, a poll for truth.

use std::sync::Arc;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sluice_protocol::{PROTOCOL_VERSION, Subjects};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Limiter;
use super::rules::Rules;
use super::store::Unavailable;

/// The kind of event that says that limits have changed.
const KIND: &str = "limits";
const MAX_BYTES: usize = 1024;

/// What a gateway says on `<prefix>.gateway.event`. Unknown fields and kinds are ignored.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    /// Of what is in the store now.
    generation: u64,
}

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
        let mut hints = self.subscribe(client.as_ref(), subjects).await;
        let mut changed = self.changed.subscribe();
        let mut polls = interval(self.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changed.changed() => {
                    let generation = *changed.borrow_and_update();
                    tell(client.as_ref(), subjects, generation).await;
                    continue;
                }
                _ = polls.tick() => {}
                () = self.stale.notified() => {}
                Some(hint) = next(&mut hints) => {
                    if !self.is_news(&hint.payload) {
                        continue;
                    }
                }
            }
            if let Err(error) = self.reload().await {
                tracing::debug!(%error, "whether limits have changed cannot be seen now");
            }
        }
    }

    async fn subscribe(
        &self,
        client: Option<&async_nats::Client>,
        subjects: &Subjects,
    ) -> Option<async_nats::Subscriber> {
        match client?.subscribe(subjects.event()).await {
            Ok(hints) => Some(hints),
            Err(error) => {
                tracing::error!(%error, "hints of changed limits are not heard; the poll sees them later");
                None
            }
        }
    }

    fn is_news(&self, body: &[u8]) -> bool {
        if body.len() > MAX_BYTES {
            return false;
        }
        let known = self.rules.load().generation;
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
        tracing::debug!(%error, "other gateways see changed limits with their next poll");
    }
}
