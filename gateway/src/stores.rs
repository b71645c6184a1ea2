//! What gateways share besides the broker: in Redis where there is one, else in memory.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::health::Health;
use crate::idempotency::OnceStore;
use crate::idempotency::memory::MemoryOnce;
use crate::idempotency::redis::RedisOnce;
use crate::redis_link::{OpenError, RedisLink, advice};
use crate::results::ResultStore;
use crate::results::hub::{self, Hub};
use crate::results::memory::MemoryResults;
use crate::results::redis::RedisResults;
use crate::sticky::StickyStore;
use crate::sticky::memory::MemorySticky;
use crate::sticky::redis::RedisSticky;
use crate::supervise::supervise;

/// The stores of one shard.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Which instance a key sticks to.
    pub sticky: Arc<dyn StickyStore>,
    /// Results of async calls.
    pub results: Arc<dyn ResultStore>,
    /// Answers by idempotency key.
    pub once: Arc<dyn OnceStore>,
    /// The shard's connection to Redis, if there is one.
    pub redis: Option<RedisLink>,
}

/// Makes the stores of each shard.
#[derive(Debug, Clone)]
pub struct StoreMaker(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// One process: all shards have the same ones.
    Memory(Stores),
    /// Each shard has a connection of its own.
    Redis { config: Arc<Config>, hub: Arc<Hub> },
}

impl StoreMaker {
    /// Starts what all shards share; until `stop`. Never waits for Redis.
    ///
    /// # Errors
    /// When the options of Redis can never work.
    pub fn start(
        config: &Arc<Config>,
        health: &Arc<Health>,
        stop: &CancellationToken,
    ) -> Result<Self, OpenError> {
        if !config.redis.is_enabled() {
            return Ok(Self(Kind::Memory(in_memory(config))));
        }
        let link = RedisLink::open(&config.redis)?;
        let hub = Hub::new(&config.gateway.id);
        tokio::spawn({
            let (hub, link, stop) = (hub.clone(), link.clone(), stop.clone());
            supervise("letters", stop.clone(), move || {
                hub::deliver(hub.clone(), link.clone(), stop.clone())
            })
        });
        let advice = advice::check_settings(link.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(advice));
        let watch = watch_health(link, health.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch));
        Ok(Self(Kind::Redis {
            config: config.clone(),
            hub,
        }))
    }

    /// The stores of the shard on whose runtime this is called.
    ///
    /// # Errors
    /// When the options of Redis can never work.
    pub fn open(&self) -> Result<Stores, OpenError> {
        let (config, hub) = match &self.0 {
            Kind::Memory(stores) => return Ok(stores.clone()),
            Kind::Redis { config, hub } => (config, hub),
        };
        let link = RedisLink::open(&config.redis)?;
        let results = RedisResults::new(
            link.clone(),
            hub.clone(),
            config.results.ttl,
            config.gateway.max_timeout,
        );
        Ok(Stores {
            sticky: Arc::new(RedisSticky::new(link.clone(), config.dispatch.sticky_ttl)),
            results: Arc::new(results),
            once: Arc::new(RedisOnce::new(link.clone(), config.idempotency.ttl)),
            redis: Some(link),
        })
    }
}

fn in_memory(config: &Config) -> Stores {
    let sticky = MemorySticky::new(config.dispatch.sticky_ttl, config.dispatch.sticky_max_keys);
    Stores {
        sticky: Arc::new(sticky),
        results: Arc::new(MemoryResults::new(&config.results)),
        once: Arc::new(MemoryOnce::new(&config.idempotency)),
        redis: None,
    }
}

async fn watch_health(link: RedisLink, health: Arc<Health>) {
    let mut available = link.watch();
    loop {
        health.set_redis_available(*available.borrow_and_update());
        if available.changed().await.is_err() {
            return;
        }
    }
}
