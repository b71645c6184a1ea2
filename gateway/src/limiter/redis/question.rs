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
        let (generation, now) = (number(&head[..8])? as u64, number(&head[8..])? as u64);
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
fn number(bytes: &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

fn outcome(bytes: &[u8]) -> Option<Outcome> {
    let (used, wait) = bytes.split_first_chunk()?;
    let wait = number(wait)?;
    Some(Outcome {
        fits: wait == 0.0,
        used: u32::from_le_bytes(*used).into(),
        // What is no number at all becomes none.
        wait: wait as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyLayout;
    use crate::limiter::testing::demand;

    #[test]
    fn each_log_is_asked_for_once_and_each_call_names_its_limits() {
        let keys = Keys::new("p", KeyLayout::One);
        let (a, b) = (demand("a", 1, 300, 1000), demand("b", 2, 5, 1000));
        let mut question = Question::of(std::slice::from_ref(&a), &keys);
        question.add(&[b.clone(), a.clone()], &keys);
        let named: Vec<&str> = question.keys().collect();
        assert_eq!(
            named,
            [
                "{p:limits}:log2:a:0:01000000000000000000000000000000",
                "{p:limits}:log2:b:0:02000000000000000000000000000000",
            ]
        );
        let window = 1_000_000_f64.to_le_bytes();
        let expected = [
            // max, window, cost, group, shadow
            &[44, 1, 0, 0][..],
            &window,
            &[1, 0, 0, 0, 3, 0, 0, 0, 0],
            &[5, 0, 0, 0],
            &window,
            &[1, 0, 0, 0, 1, 0, 0, 0, 0],
            // one: the first; two: the second and the first
            &[0, 1, 0, 1, 0, 2, 0, 2, 0, 1],
        ];
        assert_eq!(question.argument(), expected.concat());
        let spread = Keys::new("p", KeyLayout::Spread);
        let key = "{p:limits:log2:b:0:02000000000000000000000000000000}";
        assert_eq!(spread.of(&b), key);
    }

    #[test]
    fn an_answer_is_all_of_it_or_none() {
        let keys = Keys::new("p", KeyLayout::One);
        let mut question = Question::of(&[demand("a", 1, 5, 1000)], &keys);
        question.add(&[], &keys);
        let answer = |wait: f64| {
            let (head, used) = ([7.0_f64, 9.0].map(f64::to_le_bytes).concat(), [3, 0, 0, 0]);
            [&head[..], &used, &wait.to_le_bytes()].concat()
        };
        let verdicts = question.read(&answer(0.0)).unwrap();
        assert_eq!((verdicts[0].generation, verdicts[0].now), (Some(7), 9));
        assert_eq!((verdicts.len(), verdicts[1].outcomes.len()), (2, 0));
        for (wait, expected) in [
            (0.0, (true, 0)),
            (250.0, (false, 250)),
            (-1.0, (false, 0)),
            (f64::NAN, (false, 0)),
            (f64::INFINITY, (false, u64::MAX)),
        ] {
            let outcome = question.read(&answer(wait)).unwrap()[0].outcomes[0];
            assert_eq!((outcome.fits, outcome.wait), expected, "{wait}");
            assert_eq!(outcome.used, 3);
        }
        let whole = answer(0.0);
        for short in 0..whole.len() {
            assert!(question.read(&whole[..short]).is_none(), "{short}");
        }
        assert!(question.read(&[&whole[..], &[0; 12]].concat()).is_none());
    }
}
