//! Who changed what: an event in the log, and the last ones in a list.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::action::Action;

/// Most changes that are kept, and as many refusals.
const KEPT: usize = 1000;
/// Most refusals of a minute that stand in the log: strangers shall not fill the disk.
const LOGGED_A_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
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

    fn log(&self) {
        tracing::info!(
            target: "sluice::audit",
            operator = self.operator,
            action = self.action,
            target = self.target,
            allowed = self.allowed,
            before = %self.before,
            after = %self.after,
            "admin"
        );
    }
}

/// The last changes, and apart from them the last refusals: whoever knocks without a token pushes
/// no change out.
#[derive(Debug)]
pub(super) struct Audit {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Counts both kinds, so that they can be told in one order.
    next: u64,
    changes: VecDeque<Noted>,
    refusals: VecDeque<Noted>,
    logged: Window,
}

#[derive(Debug)]
struct Noted {
    number: u64,
    at: Instant,
    entry: Entry,
}

/// How many refusals a minute has had in the log.
#[derive(Debug)]
struct Window {
    since: Instant,
    logged: u32,
    left_out: u64,
}

/// An entry as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    ms_ago: u64,
    #[serde(flatten)]
    entry: Entry,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                next: 0,
                changes: VecDeque::new(),
                refusals: VecDeque::new(),
                logged: Window {
                    since: Instant::now(),
                    logged: 0,
                    left_out: 0,
                },
            }),
        }
    }
}

impl Audit {
    /// Notes one, in the log too; of refusals only so many a minute.
    pub(super) fn add(&self, entry: Entry) {
        let mut kept = self.kept.lock();
        let logged = entry.allowed || kept.logged.takes_one();
        if logged {
            entry.log();
        }
        let noted = Noted {
            number: kept.next,
            at: Instant::now(),
            entry,
        };
        kept.next += 1;
        let ring = if noted.entry.allowed {
            &mut kept.changes
        } else {
            &mut kept.refusals
        };
        if ring.len() >= KEPT {
            ring.pop_front();
        }
        ring.push_back(noted);
    }

    /// Those that are kept, newest first; of one operator, or those that were (not) allowed.
    pub(super) fn list(&self, operator: Option<&str>, allowed: Option<bool>) -> Vec<Told> {
        let kept = self.kept.lock();
        let wanted = |noted: &&Noted| {
            operator.is_none_or(|name| name == noted.entry.operator)
                && allowed.is_none_or(|allowed| allowed == noted.entry.allowed)
        };
        let both = kept.changes.iter().chain(&kept.refusals);
        let mut found: Vec<&Noted> = both.filter(wanted).collect();
        found.sort_unstable_by_key(|noted| std::cmp::Reverse(noted.number));
        let told = |noted: &Noted| Told {
            ms_ago: u64::try_from(noted.at.elapsed().as_millis()).unwrap_or(u64::MAX),
            entry: noted.entry.clone(),
        };
        found.into_iter().map(told).collect()
    }
}

impl Window {
    /// Whether one more refusal goes into the log now. The first of a minute tells how many were
    /// left out of the one before.
    fn takes_one(&mut self) -> bool {
        if self.since.elapsed() >= MINUTE {
            if self.left_out > 0 {
                tracing::warn!(
                    target: "sluice::audit",
                    left_out = self.left_out,
                    "more requests were refused than are logged in a minute"
                );
            }
            *self = Self {
                since: Instant::now(),
                logged: 0,
                left_out: 0,
            };
        }
        let takes = self.logged < LOGGED_A_MINUTE;
        if takes {
            self.logged += 1;
        } else {
            self.left_out += 1;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Area;
    use super::*;

    const LOOK: Action = Action::read(Area::Limits);

    fn refused() -> Entry {
        Entry::refused("unknown", LOOK, "GET /v1/limits")
    }

    #[tokio::test]
    async fn refusals_push_no_change_out() {
        let audit = Audit::default();
        let changed = |name: &str| Entry::changed("ann", LOOK, name, Value::Null, Value::Null);
        audit.add(changed("first"));
        (0..2 * KEPT).for_each(|_| audit.add(refused()));
        audit.add(changed("last"));
        let all = audit.list(None, None);
        assert_eq!(all.len(), KEPT + 2);
        assert_eq!(all[0].entry.target, "last");
        assert_eq!(all[KEPT + 1].entry.target, "first");
        assert_eq!(audit.list(None, Some(true)).len(), 2);
        assert_eq!(audit.list(Some("ann"), Some(false)).len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_refusals_a_minute_are_logged() {
        let mut window = Audit::default().kept.into_inner().logged;
        let mut of_a_minute = || (0..1000).filter(|_| window.takes_one()).count();
        assert_eq!(of_a_minute(), LOGGED_A_MINUTE as usize);
        assert_eq!(of_a_minute(), 0);
        tokio::time::advance(MINUTE).await;
        assert_eq!(of_a_minute(), LOGGED_A_MINUTE as usize);
    }
}
