//! Looks at the limits of a call without counting it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rules::Rule;
use super::store::Demand;
use super::{Asking, Limiter};

/// One limit that applies to a function, and what a caller has used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitLook {
    /// Its name.
    pub name: String,
    /// `global`, `service` or `function`.
    pub scope: String,
    /// By what it tells callers apart.
    pub key: String,
    /// Most calls in a window.
    pub max_requests: u32,
    /// Length of the window in milliseconds.
    pub window_ms: u64,
    /// What one call counts.
    pub cost: u32,
    /// It only reports.
    pub shadow: bool,
    /// Only calls with an API key that names it count: a plan.
    #[serde(default)]
    pub plan: bool,
    /// What the caller has used within the last window; none where no caller was named, or the
    /// store is away.
    pub used: Option<u64>,
    /// Whether it would admit the call; none as `used`.
    pub admits: Option<bool>,
}

impl LimitLook {
    fn of(rule: &Rule) -> Self {
        let limit = &rule.limit;
        Self {
            name: limit.name.to_string(),
            scope: limit.scope().to_owned(),
            key: limit.key.to_string(),
            max_requests: limit.max_requests,
            window_ms: limit.window_ms,
            cost: limit.cost,
            shadow: limit.shadow,
            plan: limit.named_only,
            used: None,
            admits: None,
        }
    }
}

impl Limiter {
    /// The limits that apply to a function.
    #[must_use]
    pub fn of(&self, service: &str, function: &str) -> Vec<LimitLook> {
        let rules = self.rules.load();
        let of = rules.of(service, function);
        of.map(|rule| LimitLook::of(rule)).collect()
    }

    /// The limits that apply to a call, and what its caller has used of them. Nothing is counted.
    ///
    /// # Errors
    /// When the store is away; what happens to calls then.
    pub async fn peek(&self, asking: &Asking<'_>) -> Result<Vec<LimitLook>, String> {
        let demands: Vec<Demand> = {
            let rules = self.rules.load();
            let look = |rule: &Arc<Rule>| {
                let demand = Demand::new(rule, rule.limit.key.of(asking)?);
                // Only looks.
                Some(Demand { cost: 0, ..demand })
            };
            rules
                .of(asking.service, asking.function)
                .filter(|rule| rule.limit.concerns(asking.caller))
                .filter_map(look)
                .collect()
        };
        if demands.is_empty() {
            return Ok(Vec::new());
        }
        let verdict = self.store.check(&demands).await;
        let verdict = verdict
            .map_err(|error| format!("{error}; calls are decided by {:?}", self.on_failure))?;
        let look = |(demand, outcome): (&Demand, &super::store::Outcome)| {
            let cost = u64::from(demand.rule.limit.cost);
            LimitLook {
                used: Some(outcome.used),
                admits: Some(outcome.used + cost <= u64::from(demand.max)),
                ..LimitLook::of(&demand.rule)
            }
        };
        let all = demands.iter().zip(&verdict.outcomes).map(look);
        Ok(all.collect())
    }
}
