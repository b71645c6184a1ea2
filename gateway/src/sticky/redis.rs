//! Sticky keys in Redis: all gateways agree.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::Script;
use sha2::{Digest, Sha256};
use sluice_protocol::InstanceId;

use super::{StickyStore, StoreUnavailable};
use crate::redis_link::{RedisLink, Unavailable};

/// Binds KEYS[1] to ARGV[2] for ARGV[3] milliseconds, if it is bound to ARGV[1] ("": to nobody).
/// Answers who it is bound to then.
static ASSIGN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local bound = redis.call('GET', KEYS[1])
         if bound and bound ~= ARGV[1] then
           redis.call('PEXPIRE', KEYS[1], ARGV[3])
           return bound
         end
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
         return ARGV[2]",
    )
});

/// Keys that all gateways of one Redis share.
#[derive(Debug)]
pub struct RedisSticky {
    link: RedisLink,
    ttl_ms: u64,
}

impl RedisSticky {
    /// A store whose keys last `ttl` after their last use.
    #[must_use]
    pub fn new(link: RedisLink, ttl: Duration) -> Self {
        Self {
            link,
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The client's value stays out of Redis: it may be long, and it may be personal.
    fn key(&self, scope: &str, key: &str) -> String {
        let digest = Sha256::digest(key.as_bytes());
        format!(
            "{}:sticky:{scope}:{}",
            self.link.prefix(),
            hex::encode(&digest[..16])
        )
    }
}

impl From<Unavailable> for StoreUnavailable {
    fn from(error: Unavailable) -> Self {
        Self(error.to_string())
    }
}

fn instance(name: &str) -> Result<InstanceId, StoreUnavailable> {
    InstanceId::new(name).map_err(|e| StoreUnavailable(format!("a key is bound to nothing: {e}")))
}

impl StickyStore for RedisSticky {
    fn get<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>> {
        Box::pin(async move {
            let mut command = redis::cmd("GETEX");
            command.arg(self.key(scope, key)).arg("PX").arg(self.ttl_ms);
            let bound: Option<String> = self.link.query(&command).await?;
            bound.as_deref().map(instance).transpose()
        })
    }

    fn assign<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
        expected: Option<&'a InstanceId>,
        instance_id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<InstanceId, StoreUnavailable>> {
        Box::pin(async move {
            let expected = expected.map(InstanceId::as_str).unwrap_or_default();
            let args = [
                expected.as_bytes().to_vec(),
                instance_id.as_str().as_bytes().to_vec(),
                self.ttl_ms.to_string().into_bytes(),
            ];
            let key = self.key(scope, key);
            let bound: String = self.link.invoke(&ASSIGN, &[&key], &args).await?;
            instance(&bound)
        })
    }

    fn look<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>> {
        Box::pin(async move {
            let key = self.key(scope, key);
            let bound: Option<String> = self.link.query(redis::cmd("GET").arg(key)).await?;
            bound.as_deref().map(instance).transpose()
        })
    }

    fn forget<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<bool, StoreUnavailable>> {
        Box::pin(async move {
            let key = self.key(scope, key);
            let removed: u64 = self.link.query(redis::cmd("DEL").arg(key)).await?;
            Ok(removed > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_link::testing::TestRedis;

    fn id(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    #[tokio::test]
    async fn two_gateways_agree_and_the_first_to_assign_wins() {
        let redis = TestRedis::start();
        let ttl = Duration::from_secs(600);
        let one = RedisSticky::new(redis.link().await, ttl);
        let two = RedisSticky::new(redis.link().await, ttl);
        assert_eq!(one.get("s.f", "k").await, Ok(None));
        assert_eq!(one.assign("s.f", "k", None, &id("a")).await, Ok(id("a")));
        assert_eq!(two.assign("s.f", "k", None, &id("b")).await, Ok(id("a")));
        assert_eq!(two.get("s.f", "k").await, Ok(Some(id("a"))));
        assert_eq!(two.get("s.g", "k").await, Ok(None));
        let moved = two.assign("s.f", "k", Some(&id("a")), &id("b")).await;
        assert_eq!(moved, Ok(id("b")));
        assert_eq!(one.get("s.f", "k").await, Ok(Some(id("b"))));
    }

    #[tokio::test]
    async fn each_use_renews_a_keys_time() {
        let redis = TestRedis::start();
        let link = redis.link().await;
        let store = RedisSticky::new(link.clone(), Duration::from_secs(1000));
        store.assign("s", "k", None, &id("a")).await.unwrap();
        let key = store.key("s", "k");
        let mut shorten = redis::cmd("PEXPIRE");
        shorten.arg(&key).arg(100_000);
        let mut left = redis::cmd("PTTL");
        left.arg(&key);
        for renew in [true, false] {
            assert_eq!(link.query(&shorten).await, Ok(1));
            if renew {
                store.get("s", "k").await.unwrap();
            } else {
                // Also one that loses.
                store.assign("s", "k", None, &id("b")).await.unwrap();
            }
            let left: i64 = link.query(&left).await.unwrap();
            assert!(left > 100_000, "{left}");
        }
    }

    #[tokio::test]
    async fn a_store_without_redis_says_so() {
        let redis = TestRedis::absent();
        let link = RedisLink::open(&redis.options()).unwrap();
        let store = RedisSticky::new(link, Duration::from_secs(10));
        let error = store.get("s", "k").await.unwrap_err();
        assert!(error.to_string().contains("Redis is away"), "{error}");
    }
}
