//! Revocations reach all gateways: told over the broker, kept in Redis for those who start later
//! or have missed the message.

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sluice_protocol::{PROTOCOL_VERSION, Subjects};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::revoked::{News, Revocation};
use super::revoked_store::RevokedStore;
use super::{Identifier, since_1970};
use crate::redis_link::{RedisLink, Unavailable};

/// The kinds of events that say that somebody is revoked, and is so no longer.
const REVOKED: &str = "revoke";
const RESTORED: &str = "restore";
/// The longest value, each byte escaped, and the other fields.
const MAX_BYTES: usize = 4096;
/// How often Redis is asked for what was missed: one small question.
const POLL: Duration = Duration::from_secs(1);
/// How often all is read again, and Redis told what it does not know.
const REREAD: Duration = Duration::from_secs(300);
/// A clock that goes ahead by more is not believed.
const MAX_AHEAD_SECS: u64 = 60;

/// What a gateway says on `<prefix>.gateway.event`. Unknown fields and kinds are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    /// `user`, `token` or `api_key`.
    what: String,
    value: String,
    /// Seconds since 1970.
    at: u64,
}

/// The list in Redis, and when all of it was read.
struct Shared {
    store: RevokedStore,
    read_at: Option<Instant>,
}

/// Resolves when Redis is there again.
async fn connected(available: &mut Option<watch::Receiver<bool>>) {
    if let Some(available) = available {
        while available.changed().await.is_ok() {
            if *available.borrow_and_update() {
                return;
            }
        }
    }
    std::future::pending().await
}

impl Identifier {
    /// Follows revocations that are made on other gateways, and tells them of this one's, until
    /// `stop`. Without Redis a gateway that starts later does not know of earlier ones. `known`
    /// is triggered when the list in Redis has been read, or there is no Redis.
    pub async fn follow_revocations(
        &self,
        client: async_nats::Client,
        redis: Option<RedisLink>,
        subjects: &Subjects,
        stop: CancellationToken,
        known: &CancellationToken,
    ) {
        let mut events = match client.subscribe(subjects.event()).await {
            Ok(events) => events.boxed(),
            Err(error) => {
                tracing::error!(%error, "revocations by other gateways are seen in Redis only");
                futures_util::stream::pending().boxed()
            }
        };
        let mut available = redis.as_ref().map(RedisLink::watch);
        let mut shared = redis.map(|link| Shared {
            store: RevokedStore::new(link),
            read_at: None,
        });
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.revocations.to_tell.notified() => self.tell(&client, subjects).await,
                _ = polls.tick() => {}
                () = connected(&mut available) => {}
                Some(event) = events.next() => {
                    self.hear(&event.payload);
                    continue;
                }
            }
            match &mut shared {
                Some(shared) => {
                    if let Err(error) = self.exchange(shared).await {
                        tracing::debug!(%error, "revocations cannot be exchanged over Redis now");
                        continue;
                    }
                }
                None => drop(self.revocations.take_to_tell()),
            }
            known.cancel();
        }
    }

    fn hear(&self, body: &[u8]) {
        if body.len() > MAX_BYTES {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event>(body) else {
            return;
        };
        if ![REVOKED, RESTORED].contains(&event.kind.as_str()) {
            return;
        }
        match Revocation::new(&event.what, &event.value) {
            Ok(what) => self.take_over(News {
                what,
                at: event.at,
                restored: event.kind == RESTORED,
            }),
            Err(error) => {
                tracing::warn!(%error, "a revocation by another gateway is not understood")
            }
        }
    }

    fn take_over(&self, mut news: News) {
        let now = since_1970();
        news.at = news.at.min(now.as_secs() + MAX_AHEAD_SECS);
        self.revocations.take(&news, now);
    }

    /// What cannot be published now stands in Redis.
    async fn tell(&self, client: &async_nats::Client, subjects: &Subjects) {
        for news in self.revocations.untold() {
            let kind = if news.restored { RESTORED } else { REVOKED };
            let event = Event {
                kind: kind.to_owned(),
                protocol: PROTOCOL_VERSION,
                what: news.what.kind().to_owned(),
                value: news.what.value().to_owned(),
                at: news.at,
            };
            let body = serde_json::to_vec(&event).unwrap_or_default();
            if let Err(error) = client.publish(subjects.event(), body.into()).await {
                tracing::warn!(%error, "other gateways were not told of a revocation");
            }
        }
    }

    /// Writes what was made here, and reads what was made elsewhere.
    async fn exchange(&self, shared: &mut Shared) -> Result<(), Unavailable> {
        let mut own = self.revocations.take_to_tell();
        while let Some(news) = own.pop_front() {
            if let Err(error) = self.write(&shared.store, &news).await {
                own.push_front(news);
                // Again with the next poll.
                self.revocations.put_back(own);
                return Err(error);
            }
        }
        if shared.read_at.is_none_or(|at| at.elapsed() >= REREAD) {
            return self.reread(shared).await;
        }
        loop {
            let page = shared.store.read().await?;
            if page.lost {
                tracing::warn!("Redis has lost revocations; it is told again of those known here");
                return self.reread(shared).await;
            }
            page.news.into_iter().for_each(|news| self.take_over(news));
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Reads all there is. What is known here and not there is written, with the next poll: a
    /// Redis that has lost its memory gets it back.
    async fn reread(&self, shared: &mut Shared) -> Result<(), Unavailable> {
        let missing = self.revocations.all();
        let mut missing: std::collections::HashMap<_, _> =
            missing.into_iter().map(|r| (r.what, r.at)).collect();
        shared.read_at = None;
        shared.store.rewind();
        loop {
            let page = shared.store.read().await?;
            for news in page.news {
                missing.remove(&news.what);
                self.take_over(news);
            }
            if !page.more {
                break;
            }
        }
        shared.read_at = Some(Instant::now());
        let missing = missing.into_iter().map(|(what, at)| News {
            what,
            at,
            restored: false,
        });
        self.revocations.put_back(missing);
        Ok(())
    }

    async fn write(&self, store: &RevokedStore, news: &News) -> Result<(), Unavailable> {
        let oldest = since_1970().saturating_sub(self.revocations.ttl).as_secs();
        if !store.write(news, oldest, self.revocations.most).await? {
            tracing::error!(
                what = ?news.what,
                "too many API keys are revoked to keep this one in Redis: take it out of the configuration"
            );
        }
        Ok(())
    }
}
