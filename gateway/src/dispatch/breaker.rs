//! A circuit breaker: one atomic word, so that a healthy call costs one load.
//!
//! ```text
//! closed ── failures ≥ n and ≥ p % of the outcomes, in the window ──► open
//!    ▲                                                                 │ open time is over
//!    └──── the probe succeeds ──── half-open: one probe ◄──────────────┘
//!                                     └──── it fails ────► open
//! ```
//!
//! Successes are counted only once there has been a failure: a breaker that knows no failure is
//! the word 0, and stays it. Breakers that belong together count how many of them are not, so that
//! nobody has to look at each.

mod word;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use self::word::{State, decode, encode};
use super::Clock;
use crate::config::BreakerOptions;

/// What a caller is told to wait while another call's probe is out: nobody knows how long it takes.
const PROBE_HINT_MS: u64 = 500;

/// A worker that is silent for less may just be busy.
const LEAST_FAIR: Duration = Duration::from_millis(100);

/// One breaker. Times are milliseconds of the gateway's [`Clock`].
#[derive(Debug, Default)]
pub struct Breaker {
    word: AtomicU64,
    /// Milliseconds that slow answers take lately; 0: nobody has answered yet.
    usual_ms: AtomicU32,
    /// Counts it, with the others of its service, while it is not clean.
    suspects: Arc<Suspects>,
}

/// How many of some breakers have anything held against them. Counted before it shows in the
/// breaker, and until after: never too few.
#[derive(Debug, Default)]
pub struct Suspects(AtomicUsize);

impl Suspects {
    /// Whether there is none.
    pub(crate) fn none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    fn one_more(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A breaker's state, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// One call tries whether it is well again; the others are refused.
    HalfOpen,
}

impl BreakerState {
    /// Its name, for listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How a call passes a breaker.
#[derive(Debug)]
pub(crate) enum Pass {
    /// It is closed.
    Free,
    /// It is half-open, and this call is its probe.
    Probe(Probe),
}

impl Pass {
    pub(crate) fn into_probe(self) -> Option<Probe> {
        match self {
            Self::Free => None,
            Self::Probe(probe) => Some(probe),
        }
    }
}

/// The one call that tries whether things are well again. Dropped without an outcome, the next
/// call is the probe.
#[derive(Debug)]
pub(crate) struct Probe {
    breaker: Arc<Breaker>,
    word: u64,
    clock: Clock,
    settled: bool,
}

impl Breaker {
    /// One that is counted among `suspects` while anything is held against it.
    #[must_use]
    pub fn among(suspects: Arc<Suspects>) -> Self {
        Self {
            word: AtomicU64::default(),
            usual_ms: AtomicU32::default(),
            suspects,
        }
    }

    /// Where it is counted.
    pub(crate) fn suspects(&self) -> &Arc<Suspects> {
        &self.suspects
    }

    /// Lets a call pass, or says after how many milliseconds to come back.
    pub(crate) fn admit(self: &Arc<Self>, clock: Clock) -> Result<Pass, u64> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let now = match decode(word) {
                State::Closed { .. } => return Ok(Pass::Free),
                State::HalfOpen { .. } => return Err(PROBE_HINT_MS),
                State::Open { until } => match until.saturating_sub(clock.now_ms()) {
                    0 => clock.now_ms(),
                    wait => return Err(wait),
                },
            };
            let half_open = encode(State::HalfOpen { since: now });
            match self.swap(word, half_open) {
                Ok(()) => {
                    return Ok(Pass::Probe(Probe {
                        breaker: self.clone(),
                        word: half_open,
                        clock,
                        settled: false,
                    }));
                }
                Err(now) => word = now,
            }
        }
    }

    /// Whether nothing at all is held against it.
    pub(crate) fn is_clean(&self) -> bool {
        self.word.load(Ordering::Relaxed) == 0
    }

    /// Whether it is open, or would be if there had been more calls.
    pub(crate) fn is_failing(&self, options: &BreakerOptions) -> bool {
        match decode(self.word.load(Ordering::Relaxed)) {
            State::Closed {
                failures, total, ..
            } => failures > 0 && failures * 100 >= total * options.failure_percent,
            State::Open { .. } | State::HalfOpen { .. } => true,
        }
    }

    /// Whether every call passes.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(
            decode(self.word.load(Ordering::Relaxed)),
            State::Closed { .. }
        )
    }

    /// How long a call would be refused, in milliseconds; `None`: it would pass, if only as probe.
    #[must_use]
    pub fn refuses(&self, now_ms: u64) -> Option<u64> {
        match decode(self.word.load(Ordering::Relaxed)) {
            State::Closed { .. } => None,
            State::HalfOpen { .. } => Some(PROBE_HINT_MS),
            State::Open { until } => Some(until.saturating_sub(now_ms)).filter(|wait| *wait > 0),
        }
    }

    /// Takes the outcome of a call that was no probe; returns whether it opened the breaker.
    /// Nothing that comes late changes one that is not closed.
    pub fn record(&self, ok: bool, clock: Clock, options: &BreakerOptions) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        // The common path: it is well, and nothing is held against it.
        if (ok && word == 0) || options.failures == 0 {
            return false;
        }
        let now = clock.now_ms();
        loop {
            let State::Closed {
                failures,
                total,
                since,
            } = decode(word)
            else {
                return false;
            };
            let next = if now.saturating_sub(since) > millis(options.window) || failures == 0 {
                after(0, 0, now, ok, options)
            } else {
                let (failures, total) = word::room(failures, total);
                after(failures, total, since, ok, options)
            };
            let next = match next {
                Some(state) => state,
                None => State::Open {
                    until: now + millis(options.open),
                },
            };
            match self.swap(word, encode(next)) {
                Ok(()) => return matches!(next, State::Open { .. }),
                Err(now) => word = now,
            }
        }
    }

    /// Learns how long a good answer took. What is kept goes up at once and down slowly: a worker is
    /// given the time of its slow answers. Fast functions write nothing here.
    pub(crate) fn took(&self, time: Duration) {
        let time = u32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let usual = self.usual_ms.load(Ordering::Relaxed);
        let next = match usual {
            _ if time > usual => time,
            _ if time < usual / 2 => usual - usual.div_ceil(64),
            _ => return,
        };
        self.usual_ms.store(next.max(1), Ordering::Relaxed);
    }

    /// The time after which silence says something, of a function that says it needs `own`: half of
    /// that, or less where answers are known to come much sooner.
    pub(crate) fn fair_time(&self, own: Duration) -> Duration {
        let usual = match self.usual_ms.load(Ordering::Relaxed) {
            0 => own,
            ms => Duration::from_millis(ms.into()),
        };
        (own / 2).min(usual.saturating_mul(4).max(LEAST_FAIR))
    }

    /// Closes it and forgets every failure.
    pub fn reset(&self) {
        if self.word.swap(0, Ordering::AcqRel) != 0 {
            self.suspects.one_less();
        }
    }

    /// Its state, the failures that count now, and for how many milliseconds it refuses calls.
    #[must_use]
    pub fn look(&self, now_ms: u64, options: &BreakerOptions) -> (BreakerState, u64, u64) {
        match decode(self.word.load(Ordering::Relaxed)) {
            State::Closed {
                failures, since, ..
            } => {
                let count = now_ms.saturating_sub(since) <= millis(options.window);
                (BreakerState::Closed, if count { failures } else { 0 }, 0)
            }
            State::Open { until } => (BreakerState::Open, 0, until.saturating_sub(now_ms)),
            State::HalfOpen { .. } => (BreakerState::HalfOpen, 0, PROBE_HINT_MS),
        }
    }

    fn swap(&self, from: u64, to: u64) -> Result<(), u64> {
        if from == 0 && to != 0 {
            self.suspects.one_more();
        }
        let done = self
            .word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        let counted_in_vain = done.is_err() && from == 0 && to != 0;
        let is_clean_now = done.is_ok() && from != 0 && to == 0;
        if counted_in_vain || is_clean_now {
            self.suspects.one_less();
        }
        done.map(|_| ())
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        if *self.word.get_mut() != 0 {
            self.suspects.one_less();
        }
    }
}

/// The counts with one more outcome; `None`: that was too much.
fn after(
    failures: u64,
    total: u64,
    since: u64,
    ok: bool,
    options: &BreakerOptions,
) -> Option<State> {
    let (failures, total) = (failures + u64::from(!ok), total + 1);
    let too_much =
        !ok && failures >= options.failures && failures * 100 >= total * options.failure_percent;
    let state = match failures {
        0 => State::CLEAN,
        _ => State::Closed {
            failures,
            total,
            since,
        },
    };
    (!too_much).then_some(state)
}

impl Probe {
    /// Closes the breaker, or opens it again; whether this closed it.
    pub(crate) fn settle(mut self, ok: bool, options: &BreakerOptions) -> bool {
        let next = if ok {
            State::CLEAN
        } else {
            let until = self.clock.now_ms() + millis(options.open);
            State::Open { until }
        };
        self.leave(next) && ok
    }

    fn leave(&mut self, next: State) -> bool {
        if std::mem::replace(&mut self.settled, true) {
            return false;
        }
        // Where an operator has reset the breaker meanwhile, that stands.
        self.breaker.swap(self.word, encode(next)).is_ok()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let until = self.clock.now_ms();
        self.leave(State::Open { until });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
