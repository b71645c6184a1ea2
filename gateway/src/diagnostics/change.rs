//! What operators change at every gateway, and no store keeps: breakers, levels of the log.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Diagnostics, Question};
use crate::dispatch::guards::{BreakerStatus, Guarded};
use crate::telemetry::levels::{Levels, LevelsError, Told};

/// What a gateway says whose breakers were closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Whether it has such a breaker.
    pub known: bool,
    /// How many were not closed, or counted failures.
    pub reset: usize,
}

/// Why the levels of the log are not told or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It is not the gateway's.
    #[error("the log belongs to the program that this gateway runs in")]
    NotOurs,
    /// They were not changed.
    #[error(transparent)]
    Levels(#[from] LevelsError),
}

impl Diagnostics {
    /// The breakers of this gateway that are not closed, or count failures.
    #[must_use]
    pub fn breakers(&self) -> Vec<BreakerStatus> {
        self.breakers.list()
    }

    /// Closes breakers of this gateway; `None`: all.
    pub fn reset(&self, which: Option<&Guarded>) -> Reset {
        let mut before = self.breakers.list();
        before.retain(|status| which.is_none_or(|which| *which == status.guarded));
        let known = match which {
            Some(which) => self.breakers.reset(which),
            None => {
                self.breakers.reset_all();
                true
            }
        };
        let reset = before.len();
        Reset { known, reset }
    }

    /// The levels of this gateway's log.
    ///
    /// # Errors
    /// When the log is not its own.
    pub fn levels(&self) -> Result<&Arc<Levels>, LogError> {
        self.parts.levels.as_ref().ok_or(LogError::NotOurs)
    }

    /// Changes them; `None`: to those of the configuration.
    ///
    /// # Errors
    /// When the log is not its own, or the filter or the time make no sense.
    pub fn set_levels(&self, filter: Option<&str>, for_ms: Option<u64>) -> Result<Told, LogError> {
        let during = for_ms.map(Duration::from_millis);
        Ok(self.levels()?.set(filter, during)?)
    }

    /// What another gateway's operator has changed here stands in this gateway's log too.
    pub(super) fn note(&self, question: &Question) {
        let (by, action, target, after) = match question {
            Question::ResetBreakers { which, by } => {
                (by, "breakers:write", "breakers", json!(which))
            }
            Question::SetLog { filter, for_ms, by } => {
                let after = json!({ "filter": filter, "for_ms": for_ms });
                (by, "log:write", "log", after)
            }
            _ => return,
        };
        tracing::info!(
            target: "sluice::audit",
            operator = by,
            action,
            target,
            %after,
            "asked for at another gateway"
        );
    }
}
