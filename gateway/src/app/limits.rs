//! The limiter of a gateway, and what keeps its rules current.

use std::sync::Arc;

use sluice_protocol::Subjects;
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::config::Config;
use crate::limiter::{Limiter, Refused};
use crate::redis_link::RedisLink;
use crate::registry::Registry;

/// What all shards share of limits.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) limiter: Arc<Limiter>,
    pub(super) refused: Arc<Refused>,
}

/// The limiter over Redis, or over this process where there is none.
pub(super) fn start(
    config: &Config,
    registry: &Arc<Registry>,
    client: async_nats::Client,
    subjects: &Arc<Subjects>,
    stop: &CancellationToken,
) -> Result<Limits, AppError> {
    let (limits, options) = (&config.limit, &config.limits);
    let limiter = if config.redis.is_enabled() {
        let link = RedisLink::open(&config.redis)
            .map_err(|e| AppError::System(std::io::Error::other(e)))?;
        let registry = registry.clone();
        Limiter::in_redis(link, limits, options, move || registry.live_gateways())
    } else {
        Limiter::in_memory(limits, options)
    };
    let limiter = Arc::new(limiter);
    let (follower, subjects, stop) = (limiter.clone(), subjects.clone(), stop.clone());
    tokio::spawn(async move { follower.follow(Some(client), &subjects, stop).await });
    Ok(Limits {
        limiter,
        refused: Arc::new(Refused::new(options.refused_per_minute)),
    })
}
