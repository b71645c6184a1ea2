//! What the operator should know of the server's own settings.

use super::{RedisLink, Unavailable};

/// Looks at the server's settings once it is there, and says what is wrong with them.
pub async fn check_settings(link: RedisLink) {
    let mut available = link.watch();
    if available.wait_for(|is| *is).await.is_err() {
        return;
    }
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("maxmemory-policy");
    match link.query::<Vec<String>>(&command).await {
        Ok(answer) => match answer.get(1).map(String::as_str) {
            Some("noeviction") => {}
            Some(policy) => tracing::warn!(
                policy,
                "Redis may evict keys before their time: set maxmemory-policy to noeviction, or \
                 limits admit too much and results of async calls vanish"
            ),
            None => {
                tracing::info!("Redis did not tell its maxmemory-policy; it should be noeviction")
            }
        },
        Err(Unavailable::Refused(reason)) => tracing::info!(
            reason,
            "the gateway may not read Redis' maxmemory-policy; it should be noeviction"
        ),
        Err(error) => tracing::info!(%error, "Redis' maxmemory-policy could not be read"),
    }
}
