//! Who changed what: an event in the log, and the last ones in a list.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::action::Action;

/// Most entries that are kept.
const KEPT: usize = 1000;
/// Most bytes of a name or target that a stranger wrote.
const MAX_TEXT: usize = 300;

/// One change, or one refusal.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    operator: String,
    action: String,
    /// What was acted on.
    target: String,
    /// Whether it was done.
    allowed: bool,
    #[serde(skip_serializing_if = "Value::is_null")]
    before: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    after: Value,
}

impl Entry {
    /// A request that was not let in.
    pub(super) fn refused(operator: &str, action: Action, target: &str) -> Self {
        let mut entry = Self::changed(operator, action, target, Value::Null, Value::Null);
        entry.allowed = false;
        entry
    }

    /// Something that was changed.
    pub(super) fn changed(
        operator: &str,
        action: Action,
        target: &str,
        before: Value,
        after: Value,
    ) -> Self {
        Self {
            operator: operator.to_owned(),
            action: action.to_string(),
            target: target.chars().take(MAX_TEXT).collect(),
            allowed: true,
            before,
            after,
        }
    }
}

/// The last changes and refusals.
#[derive(Debug, Default)]
pub(super) struct Audit {
    entries: Mutex<VecDeque<(Instant, Entry)>>,
}

/// An entry as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    ms_ago: u64,
    #[serde(flatten)]
    entry: Entry,
}

impl Audit {
    /// Notes one, in the log too.
    pub(super) fn add(&self, entry: Entry) {
        tracing::info!(
            target: "sluice::audit",
            operator = entry.operator,
            action = entry.action,
            target = entry.target,
            allowed = entry.allowed,
            before = %entry.before,
            after = %entry.after,
            "admin"
        );
        let mut entries = self.entries.lock();
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back((Instant::now(), entry));
    }

    /// Those that are kept, newest first; of one operator, or those that were (not) allowed.
    pub(super) fn list(&self, operator: Option<&str>, allowed: Option<bool>) -> Vec<Told> {
        let entries = self.entries.lock();
        let wanted = |(_, entry): &&(Instant, Entry)| {
            operator.is_none_or(|name| name == entry.operator)
                && allowed.is_none_or(|allowed| allowed == entry.allowed)
        };
        let told = |(at, entry): &(Instant, Entry)| Told {
            ms_ago: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
            entry: entry.clone(),
        };
        entries.iter().rev().filter(wanted).map(told).collect()
    }
}
