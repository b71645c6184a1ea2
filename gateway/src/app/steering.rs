//! What operators have decided: known before the first call, and kept current.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::Subjects;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::overrides::Steering;
use crate::redis_link::{OpenError, RedisLink};
use crate::registry::Registry;
use crate::usage::Usage;

/// How long a gateway that starts waits for Redis: then it serves without, rather than not at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Overrides in Redis, or in this process where there is none.
pub(super) async fn start(
    config: &Config,
    registry: &Arc<Registry>,
    client: &async_nats::Client,
    subjects: &Arc<Subjects>,
    stop: &CancellationToken,
) -> Result<Arc<Steering>, OpenError> {
    let steering = if config.redis.is_enabled() {
        let link = RedisLink::open(&config.redis)?;
        let steering = Steering::in_redis(link, registry.clone());
        steering.first(PATIENCE).await;
        steering
    } else {
        Steering::in_memory(registry.clone())
    };
    let steering = Arc::new(steering);
    let (follower, client) = (steering.clone(), client.clone());
    let (subjects, stop) = (subjects.clone(), stop.clone());
    tokio::spawn(async move { follower.follow(Some(client), &subjects, stop).await });
    Ok(steering)
}

/// Counts of who calls which version, in Redis too where there is one.
pub(super) fn count_callers(
    config: &Config,
    registry: &Arc<Registry>,
    stop: &CancellationToken,
) -> Result<Arc<Usage>, OpenError> {
    let usage = if config.redis.is_enabled() {
        Usage::in_redis(RedisLink::open(&config.redis)?, registry.clone())
    } else {
        Usage::of_this_gateway(registry.clone())
    };
    let usage = Arc::new(usage);
    let (follower, stop) = (usage.clone(), stop.clone());
    tokio::spawn(async move { follower.follow(stop).await });
    Ok(usage)
}
