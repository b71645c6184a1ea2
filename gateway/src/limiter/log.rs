//! What one key of a limit has used: a short log of admissions, exact or nearly so.
//!
//! `check.lua` is the same algorithm in Redis; `tests/` runs both through the same properties.

use std::collections::VecDeque;

/// Entries that a log has at most, one more apart: limits up to this are exact.
const ENTRIES: u32 = 128;

/// Admissions that share one entry, for a limit of `max`.
///
/// A log then has at most 129 entries, and counts fewer than `group` admissions longer
/// than it should: less than 1 % of the limit.
pub(super) fn group(max: u32) -> u32 {
    max.div_ceil(ENTRIES).max(1)
}

/// Admissions, the last of them at `stamp`, which stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    stamp: u64,
    count: u32,
}

/// Admissions within the last window. Times are microseconds of a clock that does not go back.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    total: u64,
}

impl Log {
    /// Forgets what is no longer within the window; returns what is used.
    pub(super) fn expire(&mut self, now: u64, window: u64) -> u64 {
        while let Some(first) = self.entries.front() {
            // A window is as long as `window`, so that what was admitted that long ago is out.
            if first.stamp + window > now {
                break;
            }
            self.total -= u64::from(first.count);
            self.entries.pop_front();
        }
        self.total
    }

    /// Microseconds until `cost` fits, after [`Self::expire`]; 0 if it does now.
    pub(super) fn wait(&self, now: u64, window: u64, cost: u32, max: u32) -> u64 {
        let (cost, max) = (u64::from(cost), u64::from(max));
        if self.total + cost <= max {
            return 0;
        }
        let mut left = self.total;
        for entry in &self.entries {
            left -= u64::from(entry.count);
            if left + cost <= max {
                return (entry.stamp + window).saturating_sub(now);
            }
        }
        window
    }

    /// Counts an admission.
    pub(super) fn admit(&mut self, now: u64, cost: u32, group: u32) {
        self.total += u64::from(cost);
        match self.entries.back_mut() {
            Some(last) if last.count < group => {
                last.count += cost;
                last.stamp = now;
            }
            _ => self.entries.push_back(Entry {
                stamp: now,
                count: cost,
            }),
        }
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_over(&self, now: u64, window: u64) -> bool {
        self.entries.back().is_none_or(|e| e.stamp + window <= now)
    }

    /// Whether `max` admissions are in it, expired or not.
    pub(super) fn is_over_limit(&self, max: u32) -> bool {
        self.total >= u64::from(max)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }
}
