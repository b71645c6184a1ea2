//! Configs that heartbeats name and nobody has told yet: asked for one at a time, with growing
//! waits, while heartbeats keep naming them.

use std::collections::HashMap;
use std::time::Duration;

use sluice_protocol::ServiceName;
use tokio::time::Instant;

/// The name of a config.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ConfigKey {
    pub(super) service: ServiceName,
    pub(super) hash: String,
}

/// An unanswered pull counts as failed after this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The same text would be refused again, unless a cap was the reason.
const WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(300);

/// Configs that are wanted at the same time; the next heartbeat asks again for one beyond.
const MAX_WANTED: usize = 1000;

#[derive(Debug)]
struct Pull {
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Asked(Instant),
    Waiting(Instant),
}

/// All configs that are wanted.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    wanted: HashMap<ConfigKey, Pull>,
    asked: usize,
}

impl Pulls {
    /// A heartbeat names a config that is not known.
    pub(super) fn want(&mut self, key: ConfigKey, now: Instant) {
        if self.wanted.len() < MAX_WANTED {
            self.wanted.entry(key).or_insert(Pull {
                failures: 0,
                state: State::Waiting(now),
            });
        }
    }

    /// The pulls to send now, at most `max` in flight with those that already are.
    pub(super) fn due(&mut self, max: usize, now: Instant) -> Vec<ConfigKey> {
        let mut out = Vec::new();
        for (key, pull) in &mut self.wanted {
            if self.asked >= max {
                break;
            }
            if matches!(pull.state, State::Waiting(until) if until <= now) {
                pull.state = State::Asked(now);
                self.asked += 1;
                out.push(key.clone());
            }
        }
        out
    }

    /// Whether an answer is waited for.
    pub(super) fn is_asked(&self, key: &ConfigKey) -> bool {
        matches!(self.wanted.get(key).map(|p| p.state), Some(State::Asked(_)))
    }

    /// Whether any answer is waited for.
    pub(super) fn any_asked(&self) -> bool {
        self.asked > 0
    }

    /// Nobody answered, or with something else.
    pub(super) fn failed(&mut self, key: &ConfigKey, now: Instant) {
        if let Some(pull) = self.wanted.get_mut(key) {
            if matches!(pull.state, State::Asked(_)) {
                self.asked -= 1;
            }
            pull.failures = pull.failures.saturating_add(1);
            let wait = FIRST_WAIT * 2u32.pow(pull.failures.min(9) - 1);
            pull.state = State::Waiting(now + wait.min(LONGEST_WAIT));
        }
    }

    /// The config came and was refused.
    pub(super) fn refused(&mut self, key: &ConfigKey, now: Instant) {
        self.failed(key, now);
        if let Some(pull) = self.wanted.get_mut(key) {
            pull.state = State::Waiting(now + WAIT_AFTER_REFUSAL);
        }
    }

    /// The config is known, or nobody runs it any more.
    pub(super) fn done(&mut self, key: &ConfigKey) {
        if let Some(Pull {
            state: State::Asked(_),
            ..
        }) = self.wanted.remove(key)
        {
            self.asked -= 1;
        }
    }

    /// What was asked is lost and what waits may be asked at once: the connection is new.
    pub(super) fn restart(&mut self, now: Instant) {
        self.asked = 0;
        for pull in self.wanted.values_mut() {
            pull.failures = 0;
            pull.state = State::Waiting(now);
        }
    }

    /// Gives up what was not answered in time, and forgets what `wanted` says nobody runs.
    pub(super) fn tick(&mut self, wanted: impl Fn(&ConfigKey) -> bool, now: Instant) {
        let late = |pull: &Pull| matches!(pull.state, State::Asked(at) if now.duration_since(at) >= ANSWER_WITHIN);
        let (mut gone, mut failed) = (Vec::new(), Vec::new());
        for (key, pull) in &self.wanted {
            if !wanted(key) {
                gone.push(key.clone());
            } else if late(pull) {
                failed.push(key.clone());
            }
        }
        gone.iter().for_each(|key| self.done(key));
        failed.iter().for_each(|key| self.failed(key, now));
    }
}
