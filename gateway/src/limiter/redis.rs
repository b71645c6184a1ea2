//! Limits that all gateways share, in Redis: one run of one script for the calls of a moment.

mod ask;
mod batch;
mod keys;
mod question;

use std::sync::Arc;

use ::redis::{self, Script, Value};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use self::ask::Asker;
pub(super) use self::ask::Link;
use self::batch::Batch;
use self::keys::Keys;
use self::question::Question;
use super::store::{Changes, Demand, Store, Unavailable, Verdict};
use crate::config::KeyLayout;

/// Logs in Redis.
#[derive(Debug)]
pub(super) struct RedisStore<L> {
    asker: Arc<Asker<L>>,
    batch: Batch<L>,
    rules: String,
    refund: Script,
    edit: Script,
    reset: Script,
}

impl<L: Link + 'static> RedisStore<L> {
    pub(super) fn new(link: L, prefix: &str, layout: KeyLayout) -> Self {
        Self::with_scripts(link, prefix, layout, str::to_owned)
    }

    /// With scripts that `edit` has changed, so that a test can set their clock.
    pub(super) fn with_scripts(
        link: L,
        prefix: &str,
        layout: KeyLayout,
        edit: impl Fn(&str) -> String,
    ) -> Self {
        let keys = Keys::new(prefix, layout);
        let rules = keys.shared("rules");
        let asker = Arc::new(Asker {
            link,
            generation: keys.shared("generation"),
            keys,
            check: Script::new(&edit(include_str!("check.lua"))),
        });
        Self {
            batch: Batch::new(asker.clone()),
            asker,
            rules,
            refund: Script::new(&edit(include_str!("refund.lua"))),
            edit: Script::new(include_str!("edit.lua")),
            reset: Script::new(include_str!("reset.lua")),
        }
    }

    pub(super) fn key(&self, demand: &Demand) -> String {
        self.asker.keys.of(demand)
    }

    /// One call for each demand, then all or nothing.
    async fn check_spread(&self, demands: &[Demand]) -> Result<Verdict, Unavailable> {
        let one = |demand: &Demand| {
            let demand = demand.clone();
            async move {
                // The generation stands elsewhere; its key here names nothing.
                let unused = format!("{}:g", self.key(&demand));
                let question = Question::of(std::slice::from_ref(&demand), &self.asker.keys);
                let mut verdicts = self.asker.ask(&unused, &question).await?;
                verdicts
                    .pop()
                    .ok_or_else(|| Unavailable("no answer".to_owned()))
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
        if let Err(error) = self
            .asker
            .invoke::<Value>(&self.refund, &[&key], &args)
            .await
        {
            tracing::debug!(%error, limit = %demand.rule.limit.name, "a provisional admission was not taken back");
        }
    }
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

impl<L: Link + 'static> Store for RedisStore<L> {
    fn check<'a>(&'a self, demands: &'a [Demand]) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        match self.asker.keys.layout() {
            KeyLayout::One => self.batch.check(demands).boxed(),
            KeyLayout::Spread => self.check_spread(demands).boxed(),
        }
    }

    fn reset<'a>(&'a self, demand: &'a Demand) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            let key = self.key(demand);
            if self.asker.keys.layout() == KeyLayout::One {
                let keys = [key.as_str(), &self.asker.generation];
                let _: i64 = self.asker.invoke(&self.reset, &keys, &[]).await?;
                return Ok(());
            }
            // Two shards know no common step. The log first: a gateway that heard of the reset
            // before it is done would ask, be refused, and remember that.
            let _: i64 = self.asker.query(redis::cmd("DEL").arg(&key)).await?;
            let _: i64 = self
                .asker
                .query(redis::cmd("INCR").arg(&self.asker.generation))
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn changes(&self) -> BoxFuture<'_, Result<Changes, Unavailable>> {
        async move {
            // First: a change that comes between is then read again, not missed.
            let generation: Option<u64> = self
                .asker
                .query(redis::cmd("GET").arg(&self.asker.generation))
                .await?;
            let mut texts: Vec<(String, String)> = self
                .asker
                .query(redis::cmd("HGETALL").arg(&self.rules))
                .await?;
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
            let keys = [self.rules.as_str(), self.asker.generation.as_str()];
            let generation: i64 = self.asker.invoke(&self.edit, &keys, &args).await?;
            Ok(generation > 0)
        }
        .boxed()
    }
}
