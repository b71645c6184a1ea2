//! What one run of `check.lua` is asked and what it answers: the limits of one call or of several.

use super::keys::Keys;
use crate::limiter::store::{Demand, Outcome, Verdict};

/// Calls that are asked about together at most; so many that one more would be hardly any cheaper.
const MOST_CALLS: usize = 32;
/// Limits of all of them together, unless the first has more: Redis does nothing else meanwhile.
const MOST_LIMITS: usize = 128;

/// Bytes that the answer has before the outcomes, and for each of them.
const HEAD: usize = 16;
const EACH: usize = 12;

/// The limits of some calls, each log once.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// One for each log.
    demands: Vec<Demand>,
    /// The keys of the logs, one after the other, and where each ends.
    keys: String,
    ends: Vec<usize>,
    /// What the script is to know of each limit.
    rules: Vec<u8>,
    /// Which limits each call has.
    calls: Vec<u8>,
    /// How many.
    sizes: Vec<usize>,
}

impl Question {
    /// About one call.
    pub(super) fn of(demands: &[Demand], keys: &Keys) -> Self {
        let mut question = Self::default();
        question.add(demands, keys);
        question
    }

    /// Whether one more call can be asked about by the way.
    pub(super) fn has_room_for(&self, demands: &[Demand]) -> bool {
        // While limits are changed, calls may differ in what they know of the same log.
        let agrees = |demand: &Demand| {
            let index = self.find(demand);
            index.is_none_or(|i| asks_the_same(&self.demands[i], demand))
        };
        let limits: usize = self.sizes.iter().sum();
        self.sizes.len() < MOST_CALLS
            && limits + demands.len() <= MOST_LIMITS
            && demands.iter().all(agrees)
    }

    /// Asks about one more call.
    pub(super) fn add(&mut self, demands: &[Demand], keys: &Keys) {
        self.push_number(demands.len());
        for demand in demands {
            let index = self.find(demand).unwrap_or_else(|| self.push(demand, keys));
            // The script counts from one.
            self.push_number(index + 1);
        }
        self.sizes.push(demands.len());
    }

    fn find(&self, demand: &Demand) -> Option<usize> {
        self.demands.iter().position(|d| d.has_log_of(demand))
    }

    fn push(&mut self, demand: &Demand, keys: &Keys) -> usize {
        keys.write(demand, &mut self.keys);
        self.ends.push(self.keys.len());
        self.rules.extend(demand.max.to_le_bytes());
        self.rules.extend((demand.window() as f64).to_le_bytes());
        self.rules.extend(demand.cost.to_le_bytes());
        self.rules.extend(demand.group().to_le_bytes());
        self.rules.push(demand.is_shadow().into());
        self.demands.push(demand.clone());
        self.demands.len() - 1
    }

    fn push_number(&mut self, number: usize) {
        // No call has that many limits; the script would find none of that number.
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        self.calls.extend(number.to_be_bytes());
    }

    /// The keys of the logs.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(from, to)| &self.keys[*from..*to])
    }

    /// The script's argument.
    pub(super) fn argument(&self) -> Vec<u8> {
        [self.rules.as_slice(), &self.calls].concat()
    }

    /// What the script says of each call; `None`: that is no answer to this.
    pub(super) fn read(&self, answer: &[u8]) -> Option<Vec<Verdict>> {
        let (head, mut outcomes) = answer.split_at_checked(HEAD)?;
        if outcomes.len() != EACH * self.sizes.iter().sum::<usize>() {
            return None;
        }
        let (generation, now) = (number(&head[..8])?, number(&head[8..])?);
        let mut verdicts = Vec::with_capacity(self.sizes.len());
        for size in &self.sizes {
            let (own, others) = outcomes.split_at(EACH * size);
            outcomes = others;
            let own: Option<Vec<Outcome>> = own.chunks_exact(EACH).map(outcome).collect();
            verdicts.push(Verdict {
                generation: Some(generation),
                now,
                outcomes: own?,
            });
        }
        Some(verdicts)
    }
}

fn asks_the_same(a: &Demand, b: &Demand) -> bool {
    (a.max, a.cost, a.window(), a.is_shadow()) == (b.max, b.cost, b.window(), b.is_shadow())
}

/// What Lua counts in; whole numbers, which it knows exactly up to 2^53.
fn number(bytes: &[u8]) -> Option<u64> {
    Some(f64::from_le_bytes(bytes.try_into().ok()?) as u64)
}

fn outcome(bytes: &[u8]) -> Option<Outcome> {
    let (used, wait) = bytes.split_first_chunk()?;
    let wait = number(wait)?;
    Some(Outcome {
        fits: wait == 0,
        used: u32::from_le_bytes(*used).into(),
        wait,
    })
}
