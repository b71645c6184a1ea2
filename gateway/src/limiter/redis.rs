//! Limits that all gateways share, in Redis: one call of one script for each request.

use std::fmt::Debug;
use std::fmt::Write as _;

use ::redis::{self, FromRedisValue, Script, Value};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::store::{Changes, Demand, Outcome, Store, Unavailable, Verdict};
use crate::config::KeyLayout;
use crate::redis_link::RedisLink;

/// What the script answers before the outcomes, and for each of them.
const HEAD: usize = 2;
const EACH: usize = 3;

/// How commands reach Redis: with a bounded wait, and none where it is known to be away.
pub(super) trait Link: Debug + Send + Sync {
    /// Runs a script; loads it where Redis does not have it (any more).
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>>;
    /// Runs a command.
    fn query<'a>(&'a self, command: &'a redis::Cmd) -> BoxFuture<'a, Result<Value, String>>;
}

impl Link for RedisLink {
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>> {
        let answer = Self::invoke(self, script, keys, args);
        answer.map(|a| a.map_err(|e| e.to_string())).boxed()
    }

    fn query<'a>(&'a self, command: &'a redis::Cmd) -> BoxFuture<'a, Result<Value, String>> {
        let answer = Self::query(self, command);
        answer.map(|a| a.map_err(|e| e.to_string())).boxed()
    }
}

/// Logs in Redis.
#[derive(Debug)]
pub(super) struct RedisStore<L> {
    link: L,
    layout: KeyLayout,
    /// `{sluice:limits`: keys with the same braces stand on the same shard of a cluster.
    tag: String,
    generation: String,
    rules: String,
    check: Script,
    refund: Script,
    edit: Script,
    reset: Script,
}

impl<L: Link> RedisStore<L> {
    pub(super) fn new(link: L, prefix: &str, layout: KeyLayout) -> Self {
        let tag = format!("{{{prefix}:limits");
        Self {
            link,
            layout,
            generation: format!("{tag}}}:generation"),
            rules: format!("{tag}}}:rules"),
            tag,
            check: Script::new(include_str!("check.lua")),
            refund: Script::new(include_str!("refund.lua")),
            edit: Script::new(include_str!("edit.lua")),
            reset: Script::new(include_str!("reset.lua")),
        }
    }

    /// With scripts that `edit` has changed, so that a test can set their clock.
    #[cfg(test)]
    pub(super) fn with_scripts(mut self, edit: impl Fn(&str) -> String) -> Self {
        self.check = Script::new(&edit(include_str!("check.lua")));
        self.refund = Script::new(&edit(include_str!("refund.lua")));
        self
    }

    pub(super) fn key(&self, demand: &Demand) -> String {
        let (name, epoch) = (&demand.rule.limit.name, demand.rule.epoch);
        let mut digest = String::with_capacity(32);
        for byte in demand.digest {
            let _ = write!(digest, "{byte:02x}");
        }
        match self.layout {
            KeyLayout::One => format!("{}}}:log:{name}:{epoch}:{digest}", self.tag),
            KeyLayout::Spread => format!("{}:log:{name}:{epoch}:{digest}}}", self.tag),
        }
    }

    async fn invoke<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[Vec<u8>],
    ) -> Result<T, Unavailable> {
        let value = self.link.invoke(script, keys, args).await;
        parse(value.map_err(Unavailable)?)
    }

    async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Unavailable> {
        parse(self.link.query(command).await.map_err(Unavailable)?)
    }

    async fn check_all(&self, first: &str, demands: &[Demand]) -> Result<Verdict, Unavailable> {
        let logs: Vec<String> = demands.iter().map(|demand| self.key(demand)).collect();
        let mut keys = Vec::with_capacity(1 + logs.len());
        keys.push(first);
        keys.extend(logs.iter().map(String::as_str));
        let mut args = Vec::with_capacity(5 * demands.len());
        for demand in demands {
            let numbers = [
                u64::from(demand.max),
                demand.window(),
                u64::from(demand.cost),
                u64::from(demand.group()),
                u64::from(demand.is_shadow()),
            ];
            args.extend(numbers.map(|n| n.to_string().into_bytes()));
        }
        let reply: Vec<i64> = self.invoke(&self.check, &keys, &args).await?;
        read(&reply, demands.len())
    }

    /// One call for each demand, then all or nothing.
    async fn check_spread(&self, demands: &[Demand]) -> Result<Verdict, Unavailable> {
        let one = |demand: &Demand| {
            let demand = demand.clone();
            async move {
                // The generation stands elsewhere; its key here names nothing.
                let unused = format!("{}:g", self.key(&demand));
                self.check_all(&unused, std::slice::from_ref(&demand)).await
            }
        };
        let verdicts = join_all(demands.iter().map(one)).await;
        let admits = |(verdict, demand): (&Result<Verdict, _>, &Demand)| {
            verdict.as_ref().is_ok_and(|v| v.outcomes[0].fits) || demand.is_shadow()
        };
        let known = verdicts.iter().all(Result::is_ok);
        if !known || !verdicts.iter().zip(demands).all(admits) {
            let admitted = verdicts
                .iter()
                .zip(demands)
                .filter_map(|(verdict, demand)| {
                    let verdict = verdict.as_ref().ok().filter(|v| v.outcomes[0].fits)?;
                    (demand.cost > 0).then(|| self.refund(demand, verdict.now))
                });
            join_all(admitted).await;
            let mut verdict = join(verdicts)?;
            for (outcome, demand) in verdict.outcomes.iter_mut().zip(demands) {
                if outcome.fits {
                    outcome.used = outcome.used.saturating_sub(demand.cost.into());
                }
            }
            return Ok(verdict);
        }
        join(verdicts)
    }

    /// Takes an admission back; if that fails it counts until its window is over.
    pub(super) async fn refund(&self, demand: &Demand, admitted: u64) {
        let key = self.key(demand);
        let numbers = [admitted, demand.cost.into(), demand.window()];
        let args = numbers.map(|n: u64| n.to_string().into_bytes());
        if let Err(error) = self.invoke::<Value>(&self.refund, &[&key], &args).await {
            tracing::debug!(%error, limit = %demand.rule.limit.name, "a provisional admission was not taken back");
        }
    }
}

fn parse<T: FromRedisValue>(value: Value) -> Result<T, Unavailable> {
    T::from_redis_value(value).map_err(|e| Unavailable(format!("an unexpected answer: {e}")))
}

fn read(reply: &[i64], demands: usize) -> Result<Verdict, Unavailable> {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let (head, outcomes) = match reply.split_at_checked(HEAD) {
        Some((head, rest)) if rest.len() == demands * EACH => (head, rest),
        _ => return Err(Unavailable("an unexpected answer of the script".to_owned())),
    };
    Ok(Verdict {
        generation: Some(number(head[0])),
        now: number(head[1]),
        outcomes: outcomes
            .chunks_exact(EACH)
            .map(|o| Outcome {
                fits: o[0] == 1,
                used: number(o[1]),
                wait: number(o[2]),
            })
            .collect(),
    })
}

fn join(verdicts: Vec<Result<Verdict, Unavailable>>) -> Result<Verdict, Unavailable> {
    let mut joined = Verdict {
        generation: None,
        now: 0,
        outcomes: Vec::with_capacity(verdicts.len()),
    };
    for verdict in verdicts {
        let verdict = verdict?;
        joined.now = joined.now.max(verdict.now);
        joined.outcomes.extend(verdict.outcomes);
    }
    Ok(joined)
}

impl<L: Link> Store for RedisStore<L> {
    fn check<'a>(&'a self, demands: &'a [Demand]) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        match self.layout {
            KeyLayout::One => self.check_all(&self.generation, demands).boxed(),
            KeyLayout::Spread => self.check_spread(demands).boxed(),
        }
    }

    fn reset<'a>(&'a self, demand: &'a Demand) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            let key = self.key(demand);
            if self.layout == KeyLayout::One {
                let keys = [key.as_str(), &self.generation];
                let _: i64 = self.invoke(&self.reset, &keys, &[]).await?;
                return Ok(());
            }
            // Two shards know no common step. The log first: a gateway that heard of the reset
            // before it is done would ask, be refused, and remember that.
            let _: i64 = self.query(redis::cmd("DEL").arg(&key)).await?;
            let _: i64 = self.query(redis::cmd("INCR").arg(&self.generation)).await?;
            Ok(())
        }
        .boxed()
    }

    fn changes(&self) -> BoxFuture<'_, Result<Changes, Unavailable>> {
        async move {
            // First: a change that comes between is then read again, not missed.
            let generation: Option<u64> =
                self.query(redis::cmd("GET").arg(&self.generation)).await?;
            let mut texts: Vec<(String, String)> =
                self.query(redis::cmd("HGETALL").arg(&self.rules)).await?;
            texts.sort();
            Ok(Changes {
                generation: generation.unwrap_or(0),
                texts,
            })
        }
        .boxed()
    }

    fn change<'a>(
        &'a self,
        name: &'a str,
        seen: &'a str,
        text: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        async move {
            let args = [name, seen, text].map(|a| a.as_bytes().to_vec());
            let keys = [self.rules.as_str(), self.generation.as_str()];
            let generation: i64 = self.invoke(&self.edit, &keys, &args).await?;
            Ok(generation > 0)
        }
        .boxed()
    }
}
