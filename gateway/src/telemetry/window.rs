//! The last minute of a function: samples of its totals, taken now and then by one task, so that
//! calls pay nothing for it.

use std::collections::VecDeque;
use std::time::Duration;

use super::function_stats::Totals;

/// Between two ticks.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Ticks between two samples that are kept.
const STEP: u64 = 5;
/// Ticks of the window.
const SPAN: u64 = 60;

/// What came lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recent {
    pub(super) totals: Totals,
    /// Within the last minute, or for as long as the gateway runs.
    pub(super) minute: Totals,
    pub(super) calls_last_second: u64,
    pub(super) seconds: u64,
}

/// Samples of one function.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// By tick, oldest first, one at least [`STEP`] after the other; only where something changed.
    samples: VecDeque<(u64, Totals)>,
    calls: u64,
    last_second: u64,
}

impl Window {
    /// Takes note of the totals at a tick.
    pub(super) fn tick(&mut self, tick: u64, totals: &Totals) {
        let calls = totals.calls();
        self.last_second = calls.saturating_sub(self.calls);
        self.calls = calls;
        if !tick.is_multiple_of(STEP) {
            return;
        }
        let changed = |(_, last): &(u64, Totals)| last != totals;
        let is_new = self.samples.back().map_or(calls > 0, changed);
        if is_new {
            self.samples.push_back((tick, *totals));
        }
        // One that is older than the window stays: it is where the window begins.
        while self.samples.get(1).is_some_and(|(at, _)| at + SPAN <= tick) {
            self.samples.pop_front();
        }
    }

    /// What came within the minute before `tick`.
    pub(super) fn look(&self, tick: u64, totals: Totals) -> Recent {
        let begin = tick.saturating_sub(SPAN);
        let before = self.samples.iter().rev().find(|(at, _)| *at <= begin);
        let base = before.map_or_else(Totals::default, |(_, totals)| *totals);
        Recent {
            totals,
            minute: totals.since(&base),
            calls_last_second: self.last_second,
            seconds: tick.clamp(1, SPAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ok: u64) -> Totals {
        let mut totals = Totals::default();
        totals.outcomes[0] = ok;
        totals
    }

    #[test]
    fn calls_leave_the_window_after_a_minute() {
        let mut window = Window::default();
        // One call a second for the first 30 s, then silence.
        let calls_at = |tick: u64| tick.min(30);
        for tick in 1..=200 {
            window.tick(tick, &totals(calls_at(tick)));
            let recent = window.look(tick, totals(calls_at(tick)));
            let calls = recent.minute.calls();
            let exact = calls_at(tick) - calls_at(tick.saturating_sub(60));
            assert!(calls >= exact && calls <= exact + STEP, "{tick}: {calls}");
            let second = u64::from(tick <= 30);
            assert_eq!(recent.calls_last_second, second, "{tick}");
        }
        assert!(window.samples.len() <= 2, "{}", window.samples.len());
    }

    #[test]
    fn rates_are_over_the_time_that_there_was() {
        let mut window = Window::default();
        window.tick(1, &totals(7));
        let recent = window.look(3, totals(9));
        assert_eq!((recent.minute.calls(), recent.seconds), (9, 3));
    }
}
