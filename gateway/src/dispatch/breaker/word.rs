//! A breaker's state as one word: two bits of state, eight of failures, twelve of outcomes, 42 of
//! milliseconds (139 years).

/// What the word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Failures and outcomes since the first failure, and when that was.
    Closed {
        failures: u64,
        total: u64,
        since: u64,
    },
    Open {
        until: u64,
    },
    /// Since when tells one probe from the next.
    HalfOpen {
        since: u64,
    },
}

const TIME_BITS: u32 = 42;
const TOTAL_BITS: u32 = 12;
const TIME: u64 = (1 << TIME_BITS) - 1;
const MAX_TOTAL: u64 = (1 << TOTAL_BITS) - 1;
const MAX_FAILURES: u64 = (1 << 8) - 1;
const OPEN: u64 = 1 << 62;
const HALF_OPEN: u64 = 2 << 62;

impl State {
    /// Nothing is known against it.
    pub(super) const CLEAN: Self = Self::Closed {
        failures: 0,
        total: 0,
        since: 0,
    };
}

pub(super) fn encode(state: State) -> u64 {
    match state {
        State::Closed {
            failures,
            total,
            since,
        } => {
            let counts = failures.min(MAX_FAILURES) << TOTAL_BITS | total.min(MAX_TOTAL);
            counts << TIME_BITS | since.min(TIME)
        }
        State::Open { until } => OPEN | until.min(TIME),
        State::HalfOpen { since } => HALF_OPEN | since.min(TIME),
    }
}

pub(super) fn decode(word: u64) -> State {
    let time = word & TIME;
    match word & (OPEN | HALF_OPEN) {
        0 => State::Closed {
            failures: word >> (TIME_BITS + TOTAL_BITS),
            total: word >> TIME_BITS & MAX_TOTAL,
            since: time,
        },
        OPEN => State::Open { until: time },
        _ => State::HalfOpen { since: time },
    }
}

/// The counts with room for one more: halved where one is at its end, which keeps their ratio.
pub(super) fn room(failures: u64, total: u64) -> (u64, u64) {
    if failures < MAX_FAILURES && total < MAX_TOTAL {
        (failures, total)
    } else {
        (failures.div_ceil(2), total.div_ceil(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_back() {
        for state in [
            State::CLEAN,
            State::Closed {
                failures: 255,
                total: 4095,
                since: TIME,
            },
            State::Closed {
                failures: 1,
                total: 2,
                since: 3,
            },
            State::Open { until: TIME },
            State::HalfOpen { since: 7 },
        ] {
            assert_eq!(decode(encode(state)), state);
        }
        assert_eq!(encode(State::CLEAN), 0);
    }

    #[test]
    fn counts_that_are_full_keep_their_ratio() {
        assert_eq!(room(100, 4095), (50, 2048));
        assert_eq!(room(255, 510), (128, 255));
        assert_eq!(room(1, 2), (1, 2));
    }
}
