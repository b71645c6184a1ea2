//! At most one line a minute in the log from each source of trouble.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);
const MAX_SOURCES: usize = 1000;

/// Who was logged when.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: HashMap<String, Instant>,
}

impl Throttle {
    /// Whether `source` may have a line now. With too many sources, the new ones share one.
    pub(super) fn allows(&mut self, source: &str, now: Instant) -> bool {
        if self.last.len() >= MAX_SOURCES && !self.last.contains_key(source) {
            self.last.retain(|_, at| now.duration_since(*at) < EVERY);
        }
        let key = if self.last.len() < MAX_SOURCES || self.last.contains_key(source) {
            source
        } else {
            ""
        };
        if self
            .last
            .get(key)
            .is_some_and(|at| now.duration_since(*at) < EVERY)
        {
            return false;
        }
        self.last.insert(key.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_for_each_source() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert!(throttle.allows("a", start));
        assert!(throttle.allows("b", start));
        assert!(!throttle.allows("a", start + EVERY / 2));
        assert!(throttle.allows("a", start + EVERY));
    }

    #[test]
    fn a_crowd_of_sources_is_bounded_and_shares_one_line() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let lines = (0..10 * MAX_SOURCES)
            .filter(|i| throttle.allows(&i.to_string(), start))
            .count();
        assert_eq!(lines, MAX_SOURCES + 1);
        assert!(throttle.last.len() <= MAX_SOURCES + 1);
        assert!(throttle.allows("late", start + EVERY));
        assert!(throttle.last.len() <= MAX_SOURCES);
    }
}
