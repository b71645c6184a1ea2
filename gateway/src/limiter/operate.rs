//! What operators do: look, reset, and change limits on every gateway at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::limit::Limit;
use super::rules::{Change, Rule, Rules};
use super::store::{Demand, Unavailable};
use super::{Limiter, Quota, Refusal, judge};

/// Times that a change is tried again when somebody else changed the same limit meanwhile.
const TRIES: usize = 8;
/// Limits in all: each call looks at all that apply to it.
const MAX_LIMITS: usize = 1000;

/// Why an operator's wish was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// No limit has the name.
    #[error("there is no limit {0:?}")]
    Unknown(String),
    /// One has it already.
    #[error("there is a limit {0:?} already; update it instead")]
    Exists(String),
    /// The values do not fit the limit's key.
    #[error("{0}")]
    Values(String),
    /// More limits than a gateway takes.
    #[error("there are {MAX_LIMITS} limits already")]
    Full,
    /// Others change the same limit all the time.
    #[error("the limit {0:?} is being changed by somebody else; try again")]
    Busy(String),
    /// The store is away; nothing was changed.
    #[error("{0}; nothing was changed")]
    Unavailable(String),
}

impl From<Unavailable> for OperateError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A limit and what this gateway, or one key, has seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// As it is written.
    pub limit: Value,
    /// `global`, `service` or `function`.
    pub scope: &'static str,
    /// Calls that this gateway refused since it started.
    pub refused: u64,
    /// Calls that it admitted although they were over the limit, which is in shadow.
    pub shadow_exceeded: u64,
    /// What the key asked for has used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyStatus>,
}

/// What one key has used of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// Within the last window.
    pub current_requests: u64,
    /// Until the limit.
    pub remaining: u64,
}

impl Status {
    fn of(rule: &Rule) -> Self {
        Self {
            limit: rule.limit.to_json(),
            scope: rule.limit.scope(),
            refused: rule.counts.refused.load(Ordering::Relaxed),
            shadow_exceeded: rule.counts.shadow.load(Ordering::Relaxed),
            key: None,
        }
    }
}

impl Limiter {
    /// All limits that hold now.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let rules = self.rules.load();
        rules.list().iter().map(|rule| Status::of(rule)).collect()
    }

    /// One limit, and what a key has used of it. `values`: one for each part of the limit's key.
    ///
    /// # Errors
    /// When there is no such limit, the values do not fit, or the store is away.
    pub async fn status(&self, name: &str, values: &[String]) -> Result<Status, OperateError> {
        let rule = self.rule(name)?;
        let mut status = Status::of(&rule);
        if !values.is_empty() {
            let mut demand = demand(&rule, values)?;
            demand.cost = 0;
            let verdict = self.store.check(std::slice::from_ref(&demand)).await?;
            let used = verdict.outcomes.first().map_or(0, |o| o.used);
            status.key = Some(KeyStatus {
                current_requests: used,
                remaining: u64::from(demand.max).saturating_sub(used),
            });
        }
        Ok(status)
    }

    /// Counts one call of a key against one limit, for programs that limit something of their own.
    ///
    /// # Errors
    /// When there is no such limit, the values do not fit, or the store is away.
    pub async fn check(
        &self,
        name: &str,
        values: &[String],
    ) -> Result<Result<Option<Quota>, Refusal>, OperateError> {
        let demands = [demand(&self.rule(name)?, values)?];
        let verdict = self.store.check(&demands).await?;
        Ok(judge(&demands, &verdict))
    }

    /// Forgets what a key has used of a limit, on all gateways; without `values`, what all keys have.
    ///
    /// # Errors
    /// When there is no such limit, the values do not fit, or the store is away.
    pub async fn reset(&self, name: &str, values: &[String]) -> Result<(), OperateError> {
        let rule = self.rule(name)?;
        if values.is_empty() {
            return self
                .change(name, |rules| {
                    let mut change = rules.change(name);
                    change.epoch += 1;
                    Ok(change)
                })
                .await;
        }
        self.store.reset(&demand(&rule, values)?).await?;
        self.local.clear();
        self.after_change().await;
        Ok(())
    }

    /// Adds a limit, on all gateways and beyond restarts.
    ///
    /// # Errors
    /// When there is one of that name, or the store is away.
    pub async fn add(&self, limit: Limit) -> Result<(), OperateError> {
        let name = limit.name.clone();
        self.change(&name, |rules| {
            if rules.get(&name).is_some() {
                return Err(OperateError::Exists(name.to_string()));
            }
            if rules.list().len() >= MAX_LIMITS {
                return Err(OperateError::Full);
            }
            Ok(changed(rules, &limit))
        })
        .await
    }

    /// Changes a limit, on all gateways and beyond restarts; what was used counts on if it is
    /// still counted by the same key.
    ///
    /// # Errors
    /// When there is none of that name, or the store is away.
    pub async fn update(&self, limit: Limit) -> Result<(), OperateError> {
        let name = limit.name.clone();
        self.change(&name, |rules| match rules.get(&name) {
            Some(_) => Ok(changed(rules, &limit)),
            None => Err(OperateError::Unknown(name.to_string())),
        })
        .await
    }

    /// Removes a limit, on all gateways and beyond restarts, also one of the config file.
    ///
    /// # Errors
    /// When there is none of that name, or the store is away.
    pub async fn remove(&self, name: &str) -> Result<(), OperateError> {
        self.change(name, |rules| {
            if rules.get(name).is_none() {
                return Err(OperateError::Unknown(name.to_owned()));
            }
            let epoch = rules.change(name).epoch + 1;
            let limit = Some(None);
            Ok(Change { epoch, limit })
        })
        .await
    }

    fn rule(&self, name: &str) -> Result<Arc<Rule>, OperateError> {
        let rules = self.rules.load();
        let rule = rules.get(name).cloned();
        rule.ok_or_else(|| OperateError::Unknown(name.to_owned()))
    }

    /// Writes a change that was made of what the store has; nobody else's change is lost.
    async fn change(
        &self,
        name: &str,
        make: impl Fn(&Rules) -> Result<Change, OperateError>,
    ) -> Result<(), OperateError> {
        for round in 0..TRIES {
            // What somebody else has just changed is changed from there.
            self.reload().await?;
            let (seen, text) = {
                let rules = self.rules.load();
                let change = make(&rules)?;
                (rules.change_text(name).to_owned(), change.print())
            };
            if self.store.change(name, &seen, &text).await? {
                self.after_change().await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5 << round)).await;
        }
        Err(OperateError::Busy(name.to_owned()))
    }

    async fn after_change(&self) {
        if self.reload().await.is_err() {
            // The poll does it as soon as the store is back.
            self.denied.clear();
        }
        let generation = self.rules.load().generation;
        self.changed.send_replace(generation);
    }
}

fn changed(rules: &Rules, limit: &Limit) -> Change {
    Change {
        epoch: rules.change(&limit.name).epoch,
        limit: Some(Some(limit.clone())),
    }
}

fn demand(rule: &Arc<Rule>, values: &[String]) -> Result<Demand, OperateError> {
    let digest = rule.limit.key.named(values).map_err(OperateError::Values)?;
    Ok(Demand::new(rule, digest))
}
