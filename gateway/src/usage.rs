//! Who calls which version, over all gateways: each counts for itself and adds its counts to those
//! in Redis every few seconds. Without Redis each gateway knows its own.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Script, cmd};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::overrides::{Client, FunctionKey};
use crate::redis_link::{RedisLink, Unavailable};
use crate::registry::Registry;
use crate::registry::callers::{Callers, CallersStatus};

/// How often counts go to Redis.
const EVERY: Duration = Duration::from_secs(10);
/// Clients of one version that Redis keeps; those who call most.
const CLIENTS: usize = 1000;
/// How long Redis keeps the counts of a version that nobody calls.
const TTL: Duration = Duration::from_secs(90 * 24 * 3600);
/// Nobody said who called.
const ANONYMOUS: &str = "-";
/// Those who are not kept.
const OTHERS: &str = "+";

/// The counts of all gateways, or of this one.
#[derive(Debug)]
pub struct Usage {
    registry: Arc<Registry>,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: RedisLink,
    add: Script,
}

/// Who has called a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// All gateways were asked, by what they have told Redis; otherwise this one only.
    pub of_all_gateways: bool,
    /// All calls.
    pub calls: u64,
    /// Those of clients that are not kept.
    pub others: u64,
    /// Those who call most first.
    pub callers: Vec<CallerTold>,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerTold {
    /// Who; `None`: nobody says.
    pub client: Option<Client>,
    /// Calls, at least.
    pub calls: u64,
    /// When the last one came, in seconds since 1970.
    pub last: u64,
}

impl Usage {
    /// The counts of this gateway alone.
    #[must_use]
    pub fn of_this_gateway(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            shared: None,
        }
    }

    /// Those of all gateways with this Redis.
    #[must_use]
    pub fn in_redis(link: RedisLink, registry: Arc<Registry>) -> Self {
        let add = Script::new(include_str!("usage/add.lua"));
        Self {
            registry,
            shared: Some(Shared { link, add }),
        }
    }

    /// Adds the counts to those in Redis now and then, and at the end.
    pub async fn follow(&self, stop: CancellationToken) {
        let Some(shared) = &self.shared else {
            return;
        };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.add_all(shared).await;
        }
        self.add_all(shared).await;
    }

    /// Who has called a version; `None`: it is not known here, and not in Redis.
    pub async fn look(&self, key: &FunctionKey) -> Option<Told> {
        let callers = self.callers(key);
        if let Some(shared) = &self.shared {
            let told = async {
                if let Some(callers) = &callers {
                    shared.add(key, callers).await?;
                }
                shared.read(key).await
            };
            match told.await {
                Ok(told) if told.calls == 0 && callers.is_none() => return None,
                Ok(told) => return Some(told),
                Err(error) => {
                    tracing::debug!(%error, "who calls at other gateways cannot be seen now");
                }
            }
        }
        callers.map(|callers| local(&callers.look()))
    }

    fn callers(&self, key: &FunctionKey) -> Option<Arc<Callers>> {
        let snapshot = self.registry.snapshot();
        let versions = snapshot.services.get(&key.service)?.get(&key.function)?;
        let mut versions = versions.versions.iter();
        let found = versions.find(|f| f.version == key.version)?;
        Some(found.callers.clone())
    }

    async fn add_all(&self, shared: &Shared) {
        let mut all = Vec::new();
        for versions in self
            .registry
            .snapshot()
            .services
            .values()
            .flat_map(|s| s.values())
        {
            for function in &versions.versions {
                all.push((FunctionKey::of(function), function.callers.clone()));
            }
        }
        for (key, callers) in all {
            if let Err(error) = shared.add(&key, &callers).await {
                tracing::debug!(%error, "who calls cannot be told to Redis now; later");
                return;
            }
        }
    }
}

impl Shared {
    fn keys(&self, key: &FunctionKey) -> [String; 2] {
        let label = key.label();
        // The braces keep both on one shard of a cluster.
        let tag = format!("{{{}:callers:{label}}}", self.link.prefix());
        [format!("{tag}:calls"), format!("{tag}:last")]
    }

    /// Moves counts to Redis; what it does not take stays.
    async fn add(&self, key: &FunctionKey, callers: &Callers) -> Result<(), Unavailable> {
        let counted = callers.take();
        if counted.clients.is_empty() && counted.others == 0 {
            return Ok(());
        }
        let now = since_1970();
        let mut args = vec![CLIENTS.to_string(), TTL.as_millis().to_string()];
        for caller in &counted.clients {
            let at = now.saturating_sub(caller.last.elapsed().as_secs());
            args.extend([
                field(caller.client.as_ref()),
                caller.calls.to_string(),
                at.to_string(),
            ]);
        }
        if counted.others > 0 {
            args.extend([
                OTHERS.to_owned(),
                counted.others.to_string(),
                now.to_string(),
            ]);
        }
        let args: Vec<Vec<u8>> = args.into_iter().map(String::into_bytes).collect();
        let [calls, last] = self.keys(key);
        let added: Result<i64, _> = self.link.invoke(&self.add, &[&calls, &last], &args).await;
        if let Err(error) = added {
            // Counted twice is worse than not at all where nobody knows whether it ran.
            if !error.may_have_run() {
                callers.put_back(&counted);
            }
            return Err(error);
        }
        Ok(())
    }

    async fn read(&self, key: &FunctionKey) -> Result<Told, Unavailable> {
        let [calls, last] = self.keys(key);
        let mut command = cmd("ZREVRANGE");
        command.arg(calls).arg(0).arg(CLIENTS).arg("WITHSCORES");
        let counts: Vec<(String, f64)> = self.link.query(&command).await?;
        let last: std::collections::HashMap<String, u64> =
            self.link.query(cmd("HGETALL").arg(last)).await?;
        let mut told = Told {
            of_all_gateways: true,
            ..Told::default()
        };
        for (name, calls) in counts {
            let calls = whole(calls);
            told.calls += calls;
            if name == OTHERS {
                told.others = calls;
                continue;
            }
            told.callers.push(CallerTold {
                last: last.get(&name).copied().unwrap_or(0),
                client: client(&name),
                calls,
            });
        }
        Ok(told)
    }
}

fn local(status: &CallersStatus) -> Told {
    let now = since_1970();
    let told = |caller: &crate::registry::callers::CallerStatus| CallerTold {
        client: caller.client.clone(),
        calls: caller.calls,
        last: now.saturating_sub(Instant::now().duration_since(caller.last).as_secs()),
    };
    Told {
        of_all_gateways: false,
        calls: status.total,
        others: status.others,
        callers: status.clients.iter().map(told).collect(),
    }
}

fn field(client: Option<&Client>) -> String {
    match client {
        Some(Client::User(id)) => format!("u:{id}"),
        Some(Client::ApiKey(name)) => format!("k:{name}"),
        None => ANONYMOUS.to_owned(),
    }
}

fn client(field: &str) -> Option<Client> {
    match field.split_once(':')? {
        ("u", id) => Some(Client::User(id.to_owned())),
        ("k", name) => Some(Client::ApiKey(name.to_owned())),
        _ => None,
    }
}

/// Scores are doubles; counts are whole up to 2^53.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what both can say"
)]
fn whole(score: f64) -> u64 {
    score.clamp(0.0, 9_007_199_254_740_992.0) as u64
}

fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}
