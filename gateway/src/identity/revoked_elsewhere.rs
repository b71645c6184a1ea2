//! Revocations reach all gateways: told over the broker, kept in Redis for those who start later
//! or have missed the message.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::StreamExt;
use redis::Script;
use serde::{Deserialize, Serialize};
use sluice_protocol::{PROTOCOL_VERSION, Subjects};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::revoked::{Revocation, Revoked};
use super::{Identifier, since_1970};
use crate::redis_link::{RedisLink, Unavailable};

/// The kind of event that says that somebody is revoked.
const KIND: &str = "revoke";
/// The longest value, each byte escaped, and the other fields.
const MAX_BYTES: usize = 4096;
/// How often Redis is asked for what was missed.
const POLL: Duration = Duration::from_secs(3);
/// A clock that goes ahead by more is not believed.
const MAX_AHEAD_SECS: u64 = 60;

/// Adds ARGV[2], revoked at ARGV[1], and forgets what was revoked before ARGV[3] and the oldest
/// beyond ARGV[4]; the whole lives ARGV[5] more milliseconds, 0: for good.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
         redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
         if tonumber(ARGV[5]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
         return 1",
    )
});

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

impl Identifier {
    /// Follows revocations that are made on other gateways, and tells them of this one's, until
    /// `stop`. Without Redis a gateway that starts later does not know of earlier ones.
    pub async fn follow_revocations(
        &self,
        client: async_nats::Client,
        redis: Option<RedisLink>,
        subjects: &Subjects,
        stop: CancellationToken,
    ) {
        let mut events = match client.subscribe(subjects.event()).await {
            Ok(events) => events.boxed(),
            Err(error) => {
                tracing::error!(%error, "revocations by other gateways are seen in Redis only");
                futures_util::stream::pending().boxed()
            }
        };
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.revocations.to_tell.notified() => self.tell(&client, subjects).await,
                _ = polls.tick() => {}
                Some(event) = events.next() => {
                    self.hear(&event.payload);
                    continue;
                }
            }
            let Some(link) = &redis else {
                self.revocations.take_to_tell();
                continue;
            };
            if let Err(error) = self.exchange(link).await {
                tracing::debug!(%error, "revocations cannot be exchanged over Redis now");
            }
        }
    }

    fn hear(&self, body: &[u8]) {
        if body.len() > MAX_BYTES {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event>(body) else {
            return;
        };
        if event.kind != KIND {
            return;
        }
        match Revocation::new(&event.what, &event.value) {
            Ok(what) => self.take_over(what, event.at),
            Err(error) => {
                tracing::warn!(%error, "a revocation by another gateway is not understood")
            }
        }
    }

    fn take_over(&self, what: Revocation, at: u64) {
        let now = since_1970();
        let at = at.min(now.as_secs() + MAX_AHEAD_SECS);
        self.revocations.add(&Revoked { what, at }, now);
    }

    /// What cannot be published now stands in Redis.
    async fn tell(&self, client: &async_nats::Client, subjects: &Subjects) {
        for revoked in self.revocations.untold() {
            let event = Event {
                kind: KIND.to_owned(),
                protocol: PROTOCOL_VERSION,
                what: revoked.what.kind().to_owned(),
                value: revoked.what.value().to_owned(),
                at: revoked.at,
            };
            let body = serde_json::to_vec(&event).unwrap_or_default();
            if let Err(error) = client.publish(subjects.event(), body.into()).await {
                tracing::warn!(%error, "other gateways were not told of a revocation");
            }
        }
    }

    /// Writes what was made here, and reads what was made elsewhere.
    async fn exchange(&self, link: &RedisLink) -> Result<(), Unavailable> {
        let mut own = self.revocations.take_to_tell();
        while let Some(revoked) = own.pop_front() {
            if let Err(error) = self.write(link, &revoked).await {
                own.push_front(revoked);
                // Again with the next poll.
                self.revocations.put_back(own);
                return Err(error);
            }
        }
        for key in [expiring(link), for_good(link)] {
            let mut command = redis::cmd("ZREVRANGE");
            let last = self.revocations.most.saturating_sub(1);
            command.arg(key).arg(0).arg(last).arg("WITHSCORES");
            let kept: Vec<(String, u64)> = link.query(&command).await?;
            for (member, at) in kept {
                let (kind, value) = member.split_once(':').unwrap_or_default();
                if let Ok(what) = Revocation::new(kind, value) {
                    self.take_over(what, at);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, link: &RedisLink, revoked: &Revoked) -> Result<(), Unavailable> {
        let ttl = self.revocations.ttl;
        let (key, oldest, ttl_ms) = match revoked.what {
            Revocation::ApiKey(_) => (for_good(link), 0, 0),
            _ => {
                let oldest = since_1970().saturating_sub(ttl).as_secs();
                (expiring(link), oldest, ttl.as_millis())
            }
        };
        let member = format!("{}:{}", revoked.what.kind(), revoked.what.value());
        let arguments = [
            revoked.at.to_string(),
            member,
            oldest.to_string(),
            self.revocations.most.to_string(),
            ttl_ms.to_string(),
        ];
        let arguments = arguments.map(String::into_bytes);
        let added: i64 = link.invoke(&ADD, &[&key], &arguments).await?;
        debug_assert_eq!(added, 1);
        Ok(())
    }
}

fn expiring(link: &RedisLink) -> String {
    format!("{}:revoked", link.prefix())
}

fn for_good(link: &RedisLink) -> String {
    format!("{}:revoked:api_keys", link.prefix())
}
