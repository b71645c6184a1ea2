//! What is counted of each function and each instance, for as long as it is known.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_protocol::ErrorCode;

use super::histogram::{Durations, Histogram};
use super::window::Window;

/// Threads beyond this share their stripes.
const STRIPES: usize = 16;
/// `ok`, and each error code.
pub const OUTCOMES: usize = 1 + ErrorCode::ALL.len();

/// How a call ended, as an index of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(usize);

impl Outcome {
    /// It succeeded.
    pub const OK: Self = Self(0);

    /// It failed.
    #[must_use]
    pub fn failed(code: ErrorCode) -> Self {
        Self(1 + code as usize)
    }

    /// Every outcome, with its index.
    pub(super) fn all() -> impl Iterator<Item = (usize, &'static str)> {
        let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
        std::iter::once("ok").chain(codes).enumerate()
    }

    /// `ok` or the error code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self.0.checked_sub(1).and_then(|i| ErrorCode::ALL.get(i)) {
            Some(code) => code.as_str(),
            None => "ok",
        }
    }
}

/// The calls of one version of one function, over all threads.
#[derive(Debug, Default)]
pub struct FunctionStats {
    // Made at a thread's first call: most functions are not called from everywhere.
    stripes: [OnceLock<Box<Stripe>>; STRIPES],
    pub(super) window: Mutex<Window>,
}

/// One thread's share.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    outcomes: [AtomicU64; OUTCOMES],
    duration: Histogram,
    started: AtomicU64,
    items: AtomicU64,
}

/// A function's counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Calls that ended, by outcome.
    pub outcomes: [u64; OUTCOMES],
    /// How long they took.
    pub duration: Durations,
    /// Calls that began.
    pub started: u64,
    /// Items of its streams.
    pub items: u64,
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            duration: Histogram::default(),
            started: AtomicU64::new(0),
            items: AtomicU64::new(0),
        }
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            outcomes: [0; OUTCOMES],
            duration: Durations::default(),
            started: 0,
            items: 0,
        }
    }
}

impl Totals {
    /// Calls that ended.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        // Threads are read one after another: a call may end in between.
        self.started.saturating_sub(self.calls())
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            outcomes: std::array::from_fn(|i| self.outcomes[i].saturating_sub(before.outcomes[i])),
            duration: self.duration.since(&before.duration),
            started: self.started.saturating_sub(before.started),
            items: self.items.saturating_sub(before.items),
        }
    }
}

impl FunctionStats {
    fn stripe(&self, thread: usize) -> &Stripe {
        self.stripes[thread % STRIPES].get_or_init(Box::default)
    }

    /// A call began.
    pub(super) fn began(&self, thread: usize) {
        self.stripe(thread).started.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended.
    pub(super) fn ended(&self, thread: usize, outcome: Outcome, took: Duration) {
        let stripe = self.stripe(thread);
        stripe.outcomes[outcome.0].fetch_add(1, Ordering::Relaxed);
        stripe.duration.record(took);
    }

    /// An item of a stream went out.
    pub(super) fn item(&self, thread: usize) {
        self.stripe(thread).items.fetch_add(1, Ordering::Relaxed);
    }

    /// All threads together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for stripe in self.stripes.iter().filter_map(OnceLock::get) {
            for (sum, outcome) in sum.outcomes.iter_mut().zip(&stripe.outcomes) {
                *sum += outcome.load(Ordering::Relaxed);
            }
            stripe.duration.add_to(&mut sum.duration);
            sum.started += stripe.started.load(Ordering::Relaxed);
            sum.items += stripe.items.load(Ordering::Relaxed);
        }
        sum
    }
}

/// The attempts that one instance is known to have held.
#[derive(Debug, Default)]
pub struct InstanceStats {
    failed: AtomicU64,
    duration: Histogram,
    pub(super) window: Mutex<Window>,
}

impl InstanceStats {
    /// An attempt ended there.
    pub fn ended(&self, ok: bool, took: Duration) {
        if !ok {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.duration.record(took);
    }

    /// How many failed, and how long all of them took.
    #[must_use]
    pub fn totals(&self) -> (u64, Durations) {
        let mut sum = Durations::default();
        self.duration.add_to(&mut sum);
        (self.failed.load(Ordering::Relaxed), sum)
    }

    /// The same, as a function's counts: failed attempts have the outcome after `ok`.
    pub(super) fn as_calls(&self) -> Totals {
        let (failed, duration) = self.totals();
        let mut totals = Totals {
            duration,
            ..Totals::default()
        };
        totals.outcomes[0] = duration.count().saturating_sub(failed);
        totals.outcomes[1] = failed;
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up() {
        let stats = FunctionStats::default();
        for thread in [0, 1, STRIPES + 1] {
            stats.began(thread);
        }
        stats.ended(0, Outcome::OK, Duration::from_millis(1));
        stats.ended(1, Outcome::failed(ErrorCode::Timeout), Duration::ZERO);
        let totals = stats.totals();
        assert_eq!((totals.calls(), totals.in_flight()), (2, 1));
        assert_eq!(totals.duration.count(), 2);
    }

    #[test]
    fn outcomes_have_the_names_of_their_codes() {
        assert_eq!(Outcome::OK.as_str(), "ok");
        for (index, name) in Outcome::all() {
            assert_eq!(Outcome(index).as_str(), name);
        }
        for code in ErrorCode::ALL {
            assert_eq!(Outcome::failed(*code).as_str(), code.as_str());
        }
    }
}
