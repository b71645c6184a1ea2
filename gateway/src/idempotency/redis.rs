//! Answers by key in Redis: a request is repeated at any gateway.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::Script;

use super::{Claim, Claimed, OnceStore, StoreError};
use crate::redis_link::{RedisLink, Unavailable};

/// ARGV: fingerprint, token, lease in ms, time to live in ms, "1" if a lost call may run again.
/// On Redis' clock, so that gateways need not agree on theirs.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         local had = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer', 'token', 'until')
         if had[1] then
           if had[1] ~= ARGV[1] then return {'conflict'} end
           if had[2] then return {'answered', had[2]} end
           if had[3] == ARGV[2] then return {'run'} end
           if now < tonumber(had[4]) then return {'in_flight'} end
           if ARGV[5] ~= '1' then return {'lost'} end
         end
         redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'token', ARGV[2],
           'until', string.format('%d', now + ARGV[3]))
         redis.call('PEXPIRE', KEYS[1], ARGV[4])
         return {'run'}",
    )
});

/// ARGV: token, time to live in ms, answer ("": forget).
static FINISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
         if redis.call('HEXISTS', KEYS[1], 'answer') == 1 then return 0 end
         if ARGV[3] == '' then
           redis.call('DEL', KEYS[1])
         else
           redis.call('HSET', KEYS[1], 'answer', ARGV[3])
           redis.call('PEXPIRE', KEYS[1], ARGV[2])
         end
         return 1",
    )
});

/// Keys that all gateways of one Redis share.
#[derive(Debug)]
pub struct RedisOnce {
    link: RedisLink,
    ttl: Duration,
}

impl RedisOnce {
    /// A store that keeps answers for `ttl`.
    #[must_use]
    pub fn new(link: RedisLink, ttl: Duration) -> Self {
        Self { link, ttl }
    }

    fn key(&self, claim: &Claim) -> String {
        format!("{}:once:{}", self.link.prefix(), claim.key)
    }
}

fn millis(duration: Duration) -> Vec<u8> {
    duration.as_millis().to_string().into_bytes()
}

impl From<Unavailable> for StoreError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl OnceStore for RedisOnce {
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let args = [
                claim.fingerprint.as_bytes().to_vec(),
                claim.token.as_bytes().to_vec(),
                millis(claim.lease),
                // A lost call is known as lost for as long as its answer would have been known.
                millis(self.ttl.max(claim.lease)),
                vec![if claim.may_repeat { b'1' } else { b'0' }],
            ];
            let key = self.key(claim);
            let mut found: Vec<Vec<u8>> = self.link.invoke(&CLAIM, &[&key], &args).await?;
            match found.first().map(Vec::as_slice) {
                Some(b"run") => Ok(Claimed::Run),
                Some(b"in_flight") => Ok(Claimed::InFlight),
                Some(b"lost") => Ok(Claimed::Lost),
                Some(b"conflict") => Ok(Claimed::Conflict),
                Some(b"answered") if found.len() == 2 => {
                    Ok(Claimed::Answered(Bytes::from(found.swap_remove(1))))
                }
                _ => Err(StoreError::Unavailable(
                    "a record cannot be read".to_owned(),
                )),
            }
        })
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: Option<Bytes>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let args = [
                claim.token.as_bytes().to_vec(),
                millis(self.ttl),
                answer.map(|a| a.to_vec()).unwrap_or_default(),
            ];
            let key = self.key(claim);
            let _: u8 = self.link.invoke(&FINISH, &[&key], &args).await?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_link::testing::TestRedis;

    fn claim(token: &str, lease: Duration) -> Claim {
        Claim {
            key: "k".to_owned(),
            fingerprint: "f".to_owned(),
            token: token.to_owned(),
            lease,
            may_repeat: false,
        }
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn the_first_of_two_gateways_runs_and_the_other_gets_its_answer() {
        let redis = TestRedis::start();
        let ttl = Duration::from_secs(1000);
        let one = RedisOnce::new(redis.link().await, ttl);
        let two = RedisOnce::new(redis.link().await, ttl);
        let (first, second) = (claim("1", LONG), claim("2", LONG));
        assert_eq!(one.claim(&first).await, Ok(Claimed::Run));
        assert_eq!(one.claim(&first).await, Ok(Claimed::Run));
        assert_eq!(two.claim(&second).await, Ok(Claimed::InFlight));
        let other = Claim {
            fingerprint: "g".to_owned(),
            ..second.clone()
        };
        assert_eq!(two.claim(&other).await, Ok(Claimed::Conflict));
        two.finish(&second, None).await.unwrap();
        let answer = Bytes::from_static(b"\0\xff\n");
        one.finish(&first, Some(answer.clone())).await.unwrap();
        two.finish(&second, None).await.unwrap();
        one.finish(&first, None).await.unwrap();
        assert_eq!(two.claim(&second).await, Ok(Claimed::Answered(answer)));
        let mut left = redis::cmd("PTTL");
        left.arg("sluice:once:k");
        let left: u128 = one.link.query(&left).await.unwrap();
        assert!(left > LONG.as_millis() && left <= ttl.as_millis(), "{left}");
    }

    #[tokio::test]
    async fn a_claim_that_is_forgotten_is_free_and_one_that_is_lost_is_not() {
        let redis = TestRedis::start();
        let store = RedisOnce::new(redis.link().await, LONG);
        let short = claim("1", Duration::from_millis(1));
        store.claim(&short).await.unwrap();
        store.finish(&short, None).await.unwrap();
        assert_eq!(store.claim(&short).await, Ok(Claimed::Run));
        let second = claim("2", LONG);
        let mut found = store.claim(&second).await;
        while found == Ok(Claimed::InFlight) {
            found = store.claim(&second).await;
        }
        assert_eq!(found, Ok(Claimed::Lost));
        let idempotent = Claim {
            may_repeat: true,
            ..second
        };
        assert_eq!(store.claim(&idempotent).await, Ok(Claimed::Run));
        assert_eq!(store.claim(&short).await, Ok(Claimed::InFlight));
    }
}
