//! The limiter of a gateway, and what keeps its rules current.

use std::sync::Arc;

use sluice_protocol::Subjects;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::limiter::{Limiter, Refused};
use crate::redis_link::{OpenError, RedisLink};
use crate::registry::Registry;
use crate::supervise::supervise;

/// What all shards share of limits.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) limiter: Arc<Limiter>,
    pub(super) refused: Arc<Refused>,
}

impl Limits {
    /// The limiter for one shard: its calls go over the connection of its own thread.
    pub(super) fn of_shard(&self, link: Option<RedisLink>) -> Arc<Limiter> {
        match link {
            Some(link) => Arc::new(self.limiter.over(link)),
            None => self.limiter.clone(),
        }
    }
}

/// The limiter over Redis, or over this process where there is none.
pub(super) fn start(
    config: &Config,
    registry: &Arc<Registry>,
    client: async_nats::Client,
    subjects: &Arc<Subjects>,
    refused: &Arc<Refused>,
    stop: &CancellationToken,
) -> Result<Limits, OpenError> {
    let (limits, options) = (&config.limit, &config.limits);
    let limiter = if config.redis.is_enabled() {
        let registry = registry.clone();
        Limiter::in_redis(
            RedisLink::open(&config.redis)?,
            limits,
            options,
            move || registry.live_gateways(),
        )
    } else {
        Limiter::in_memory(limits, options)
    };
    let limiter = Arc::new(limiter);
    let (follower, subjects, stop) = (limiter.clone(), subjects.clone(), stop.clone());
    tokio::spawn(supervise("limits", stop.clone(), move || {
        let (follower, client) = (follower.clone(), client.clone());
        let (subjects, stop) = (subjects.clone(), stop.clone());
        async move { follower.follow(Some(client), &subjects, stop).await }
    }));
    Ok(Limits {
        limiter,
        refused: refused.clone(),
    })
}
