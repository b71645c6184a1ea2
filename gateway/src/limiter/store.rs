//! Where the logs of limits are kept: in this process, or in Redis for all gateways.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::key::Digest;
use super::log;
use super::rules::Rule;

/// What one call asks of one limit.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    pub(super) rule: Arc<Rule>,
    pub(super) digest: Digest,
    /// The limit's own, or this gateway's share of it.
    pub(super) max: u32,
    /// 0 only looks.
    pub(super) cost: u32,
}

impl Demand {
    pub(super) fn new(rule: &Arc<Rule>, digest: Digest) -> Self {
        Self {
            rule: rule.clone(),
            digest,
            max: rule.limit.max_requests,
            cost: rule.limit.cost,
        }
    }

    /// Microseconds.
    pub(super) fn window(&self) -> u64 {
        self.rule.limit.window_ms * 1000
    }

    pub(super) fn group(&self) -> u32 {
        log::group(self.max)
    }

    pub(super) fn is_shadow(&self) -> bool {
        self.rule.limit.shadow
    }

    /// Whether both count in the same log.
    pub(super) fn has_log_of(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.rule.epoch == other.rule.epoch
            && self.rule.limit.name == other.rule.limit.name
    }

    /// This gateway's part of the limit where `gateways` count each for itself.
    pub(super) fn share(mut self, gateways: u32) -> Self {
        // A part that is smaller than one call would refuse all of them.
        let least = self.cost.min(self.max);
        self.max = (self.max / gateways.max(1)).max(least);
        self
    }
}

/// What one limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether the limit by itself admits the call.
    pub(super) fits: bool,
    /// What is used of it, with this call if it was admitted.
    pub(super) used: u64,
    /// Microseconds until it can admit the call; 0 if it does.
    pub(super) wait: u64,
}

/// What all limits of a call say. It was counted by those that admit it, if all do that are not
/// in shadow; otherwise by none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The generation of the rules that the store knows, if it came with this.
    pub(super) generation: Option<u64>,
    /// Microseconds on the store's clock.
    pub(super) now: u64,
    /// In the order of the demands.
    pub(super) outcomes: Vec<Outcome>,
}

/// The store cannot say now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of limits is unavailable: {0}")]
pub(super) struct Unavailable(pub(super) String);

/// What is changed of the rules of the config file, one text for each name of a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) generation: u64,
    pub(super) texts: Vec<(String, String)>,
}

/// Keeps logs and what was changed of the rules.
pub(super) trait Store: Debug + Send + Sync {
    /// Checks all demands of one call.
    fn check<'a>(&'a self, demands: &'a [Demand]) -> BoxFuture<'a, Result<Verdict, Unavailable>>;
    /// Forgets what a key has used.
    fn reset<'a>(&'a self, demand: &'a Demand) -> BoxFuture<'a, Result<(), Unavailable>>;
    /// All changes.
    fn changes(&self) -> BoxFuture<'_, Result<Changes, Unavailable>>;
    /// Changes the text of one limit, if it is still `seen`; false if it is not.
    fn change<'a>(
        &'a self,
        name: &'a str,
        seen: &'a str,
        text: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;
}
