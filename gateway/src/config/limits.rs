//! `[limits]`

use std::time::Duration;

use super::kind::number::{Count, Millis};
use super::kind::{Kind, Raw, quoted};
use super::section::section;

section! {
    /// Rate limits in general; each of them is a table `[[limit]]`. See `docs/limits.md`.
    ["limits"] LimitOptions {
        /// What becomes of calls that a limit applies to while Redis is away: they pass, they are refused
        /// as `limiter_unavailable`, or each gateway counts its share of each limit by itself.
        on_failure: OnFailure = OnFailure::Local, Choice(&[
            ("fail_open", OnFailure::FailOpen),
            ("fail_closed", OnFailure::FailClosed),
            ("local", OnFailure::Local),
        ]);
        /// Where keys stand in a Redis Cluster: all on one shard, with one trip for each call, or on
        /// all shards, with one trip for each limit of a call, at once.
        cluster: KeyLayout = KeyLayout::One, Choice(&[
            ("one", KeyLayout::One),
            ("spread", KeyLayout::Spread),
        ]);
        /// Time between two looks for limits that were changed; usually gateways tell each other.
        poll: Duration = Duration::from_secs(2), Millis::within(50..=3_600_000);
        /// Most keys that are counted in the gateway's own memory: without Redis, or while it is away.
        max_keys: usize = 65_536, Count::within(1..=10_000_000);
        /// Calls of one verified caller, or of all others from one address, that may be refused within
        /// a minute: with a wrong credential, as unknown, not allowed or with invalid args; more are
        /// `rate_limited`, all of them. 0: any number.
        refused_per_minute: u64 = 600, Count::within(0..=1_000_000);
    }
}

/// What becomes of calls while the store of limits is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They pass.
    FailOpen,
    /// They are refused.
    FailClosed,
    /// Each gateway counts its share by itself.
    Local,
}

/// Where keys of limits stand in a Redis Cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLayout {
    /// Under one hash tag.
    One,
    /// Each under its own.
    Spread,
}

/// One of a few words.
struct Choice<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy + PartialEq + std::fmt::Debug> Kind for Choice<T> {
    type Value = T;

    fn describe(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| quoted(word)).collect();
        format!("one of {}", words.join(", "))
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<T, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?;
        let found = self.0.iter().find(|(word, _)| *word == text);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &T) -> Option<String> {
        let found = self.0.iter().find(|(_, v)| v == value);
        found.map(|(word, _)| quoted(word))
    }
}
