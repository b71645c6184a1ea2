//! What was refused, with every reason, for a day: so that "why is my worker not served" has an
//! answer. Bounded; the oldest goes first.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_protocol::registry::Reason;
use tokio::time::Instant;

/// Most bytes of the reasons of one refusal; what is beyond is counted only.
const REASON_BYTES: usize = 32 << 10;
/// Most characters of one part of a reason: names and values in it are a stranger's.
const PART_CHARS: usize = 1000;

/// How a refused config reached the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A worker announced it.
    Announce,
    /// The gateway pulled it.
    Pull,
    /// It was not looked into: its sender may not register (secret, allowlist, subject, size).
    Sender,
}

/// A config that is not in force, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Of which service; empty where it could not be told.
    pub service: String,
    /// The instance that sent it last.
    pub instance: Option<String>,
    /// Its name; empty where it could not be told.
    pub config_hash: String,
    /// Its label.
    pub config_version: Option<String>,
    /// How it came.
    pub source: Source,
    /// Every reason.
    pub reasons: Vec<Reason>,
    /// How often it was refused.
    pub times: u64,
    /// Milliseconds since it was refused first.
    pub first_ms_ago: u64,
    /// Milliseconds since it was refused last.
    pub last_ms_ago: u64,
}

/// Which refusals are meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RefusedFilter {
    /// Only of this service.
    pub service: Option<String>,
    /// Only those that came so.
    pub source: Option<Source>,
    /// At most so many, newest first; `None`: all.
    pub limit: Option<usize>,
}

impl RefusedFilter {
    fn takes(&self, refused: &Refused) -> bool {
        let fits = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|w| w == got);
        fits(&self.service, &refused.service) && self.source.is_none_or(|s| s == refused.source)
    }
}

#[derive(Debug)]
struct Entry {
    refused: Refused,
    first: Instant,
    last: Instant,
}

/// The list, ordered by the last refusal, newest at the back.
#[derive(Debug)]
pub(super) struct RefusedList {
    entries: VecDeque<Entry>,
    ttl: Duration,
    max: usize,
}

impl RefusedList {
    pub(super) fn new(ttl: Duration, max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            ttl,
            max,
        }
    }

    /// Adds one refusal, or counts it if the same config was refused in the same way before.
    /// Times of `refused` are set here.
    pub(super) fn add(&mut self, mut refused: Refused, now: Instant) {
        let same = |e: &Entry| {
            let old = &e.refused;
            old.service == refused.service
                && old.config_hash == refused.config_hash
                && old.source == refused.source
                // Without a hash nothing but the sender tells one from the other.
                && (!refused.config_hash.is_empty() || old.instance == refused.instance)
        };
        let mut first = now;
        refused.times = 1;
        if let Some(old) = self.entries.iter().position(same)
            && let Some(old) = self.entries.remove(old)
        {
            first = old.first;
            refused.times = old.refused.times.saturating_add(1);
        }
        while self.entries.len() >= self.max.max(1) {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            refused,
            first,
            last: now,
        });
    }

    /// The config is in force now.
    pub(super) fn forget(&mut self, service: &str, hash: &str) -> bool {
        let before = self.entries.len();
        self.entries
            .retain(|e| e.refused.service != service || e.refused.config_hash != hash);
        self.entries.len() != before
    }

    /// Newest first.
    pub(super) fn list(&self, filter: &RefusedFilter, now: Instant) -> Vec<Refused> {
        let ago = |at: Instant| u64::try_from(now.duration_since(at).as_millis()).unwrap_or(0);
        self.entries
            .iter()
            .rev()
            .filter(|e| now.duration_since(e.last) < self.ttl && filter.takes(&e.refused))
            .take(filter.limit.unwrap_or(usize::MAX))
            .map(|e| Refused {
                first_ms_ago: ago(e.first),
                last_ms_ago: ago(e.last),
                ..e.refused.clone()
            })
            .collect()
    }

    /// Removes those that `filter` takes, its limit aside, and says which: service and hash.
    pub(super) fn clear(&mut self, filter: &RefusedFilter) -> Vec<(String, String)> {
        let mut gone = Vec::new();
        self.entries.retain(|e| {
            let takes = filter.takes(&e.refused);
            if takes {
                gone.push((e.refused.service.clone(), e.refused.config_hash.clone()));
            }
            !takes
        });
        gone
    }

    /// Removes what is too old; says whether anything was.
    pub(super) fn purge(&mut self, now: Instant) -> bool {
        let before = self.entries.len();
        self.entries
            .retain(|e| now.duration_since(e.last) < self.ttl);
        self.entries.len() != before
    }
}

/// The reasons that are kept and told: all, but for what is beyond a bound on their bytes.
pub(super) fn bounded(mut reasons: Vec<Reason>) -> Vec<Reason> {
    for reason in &mut reasons {
        for part in [&mut reason.function, &mut reason.field, &mut reason.message] {
            if let Some((end, _)) = part.char_indices().nth(PART_CHARS) {
                part.truncate(end);
                part.push('…');
            }
        }
    }
    let mut bytes = 0;
    let kept = reasons
        .iter()
        .take_while(|r| {
            bytes += r.function.len() + r.field.len() + r.message.len() + 32;
            bytes <= REASON_BYTES
        })
        .count();
    let more = reasons.len() - kept;
    if more > 0 {
        reasons.truncate(kept);
        reasons.push(reason(format!("and {more} more")));
    }
    reasons
}

/// A reason that concerns the config as a whole.
pub(super) fn reason(message: impl Into<String>) -> Reason {
    Reason {
        function: String::new(),
        field: String::new(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(100);

    fn refused(service: &str, hash: &str, source: Source) -> Refused {
        Refused {
            service: service.into(),
            instance: Some("i".into()),
            config_hash: hash.into(),
            config_version: None,
            source,
            reasons: vec![reason("r")],
            times: 0,
            first_ms_ago: 0,
            last_ms_ago: 0,
        }
    }

    #[test]
    fn a_repeated_refusal_is_counted_and_the_list_is_newest_first() {
        let mut list = RefusedList::new(TTL, 10);
        let start = Instant::now();
        list.add(refused("a", "1", Source::Announce), start);
        list.add(refused("b", "2", Source::Pull), start);
        let later = start + TTL / 2;
        list.add(refused("a", "1", Source::Announce), later);
        let all = list.list(&RefusedFilter::default(), later);
        assert_eq!((all[0].service.as_str(), all[0].times), ("a", 2));
        assert_eq!((all[0].first_ms_ago, all[0].last_ms_ago), (50_000, 0));
        assert_eq!(all.len(), 2);
        let filter = RefusedFilter {
            source: Some(Source::Pull),
            ..RefusedFilter::default()
        };
        assert_eq!(list.list(&filter, later).len(), 1);
        assert!(
            list.list(&filter, start + TTL).is_empty(),
            "hidden when due"
        );
        assert!(list.purge(start + TTL));
        assert_eq!(list.entries.len(), 1, "the repeated one lives on");
        assert_eq!(list.clear(&filter), []);
        assert_eq!(
            list.clear(&RefusedFilter::default()),
            [("a".to_owned(), "1".to_owned())]
        );
    }

    #[test]
    fn the_list_and_each_entry_are_bounded() {
        let mut list = RefusedList::new(TTL, 3);
        for i in 0..10 {
            list.add(
                refused("a", &i.to_string(), Source::Announce),
                Instant::now(),
            );
        }
        let hashes: Vec<_> = list
            .entries
            .iter()
            .map(|e| &e.refused.config_hash)
            .collect();
        assert_eq!(hashes, ["7", "8", "9"]);
        let many = bounded(vec![reason("x".repeat(PART_CHARS)); 100]);
        assert!(many.len() < 40);
        assert_eq!(
            many.last().unwrap().message,
            format!("and {} more", 101 - many.len())
        );
        assert_eq!(bounded(vec![reason("x"); 100]).len(), 100);
        assert_eq!(
            bounded(vec![reason("é".repeat(9000))])[0]
                .message
                .chars()
                .count(),
            PART_CHARS + 1
        );
    }
}
