//! How often, and where, a call is tried again.

use std::time::Duration;

use serde_json::{Value, json};

/// Most extra attempts that a function may ask for.
pub const MAX_ATTEMPTS: u32 = 100;

/// The wait before the first extra attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait, with jitter.
const MAX_WAIT: Duration = Duration::from_millis(5000);

/// The `retry` of a function: extra attempts after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Where the extra attempts go.
    pub mode: RetryMode,
    /// How many, at least 1.
    pub attempts: u32,
}

/// Where extra attempts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryMode {
    /// The instance that was selected first.
    SameNode,
    /// Any instance, another one where there is one; also what a bare number means.
    AllNodes,
}

/// The wait before extra attempt number `attempt` (from 1): 100 ms, doubled with each, times
/// `jitter` (1.0 for none; 0.5 to 1.5 is usual), at most 5 s in all.
///
/// ```
/// use sluice_protocol::retry::backoff;
/// assert_eq!(backoff(1, 1.0).as_millis(), 100);
/// assert_eq!(backoff(5, 1.0).as_millis(), 1600);
/// ```
#[must_use]
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    backoff_within(attempt, jitter, FIRST_WAIT, MAX_WAIT)
}

/// [`backoff`] with another `first` wait and another `longest` one.
#[must_use]
pub fn backoff_within(attempt: u32, jitter: f64, first: Duration, longest: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(10);
    let base = first.saturating_mul(1 << doublings).min(longest);
    let jitter = if jitter.is_finite() { jitter } else { 1.0 };
    base.mul_f64(jitter.clamp(0.0, 10.0)).min(longest)
}

impl Retry {
    /// Reads `3`, `{"same_node": 3}` or `{"all_nodes": 3}`; a fraction counts as the whole number
    /// below it.
    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        let (mode, number) = match value {
            Value::Object(map) if map.len() == 1 && map.contains_key("same_node") => {
                (RetryMode::SameNode, &map["same_node"])
            }
            Value::Object(map) if map.len() == 1 && map.contains_key("all_nodes") => {
                (RetryMode::AllNodes, &map["all_nodes"])
            }
            other => (RetryMode::AllNodes, other),
        };
        let most = f64::from(MAX_ATTEMPTS);
        let attempts = number.as_f64().filter(|n| (1.0..=most).contains(n));
        let attempts = attempts.ok_or_else(|| {
            format!(
                "must be null, a number of extra attempts from 1 to {MAX_ATTEMPTS}, \
                 {{\"same_node\": n}} or {{\"all_nodes\": n}}"
            )
        })?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 100, and meant to be cut"
        )]
        let attempts = attempts as u32;
        Ok(Self { mode, attempts })
    }

    /// The shortest form that reads back as this.
    pub(crate) fn to_json(self) -> Value {
        match self.mode {
            RetryMode::AllNodes => json!(self.attempts),
            RetryMode::SameNode => json!({ "same_node": self.attempts }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds() {
        for (attempt, ms) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (5, 1600),
            (6, 3200),
            (7, 5000),
            (8, 5000),
            (u32::MAX, 5000),
        ] {
            assert_eq!(
                backoff(attempt, 1.0),
                Duration::from_millis(ms),
                "{attempt}"
            );
        }
    }

    #[test]
    fn jitter_scales_but_never_exceeds_the_cap() {
        assert_eq!(backoff(1, 0.5), Duration::from_millis(50));
        assert_eq!(backoff(1, 1.5), Duration::from_millis(150));
        assert_eq!(backoff(9, 0.5), Duration::from_millis(2500));
        assert_eq!(backoff(9, 1.5), MAX_WAIT);
        for odd in [f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            assert!(backoff(3, odd) <= MAX_WAIT);
        }
    }

    #[test]
    fn forms_of_retry() {
        let all = |attempts| Retry {
            mode: RetryMode::AllNodes,
            attempts,
        };
        let same = |attempts| Retry {
            mode: RetryMode::SameNode,
            attempts,
        };
        for (form, retry) in [
            (json!(1), all(1)),
            (json!(3), all(3)),
            (json!(2.7), all(2)),
            (json!({"same_node": 2.9}), same(2)),
            (json!({"all_nodes": 5}), all(5)),
        ] {
            assert_eq!(Retry::from_json(&form), Ok(retry), "{form}");
            assert_eq!(Retry::from_json(&retry.to_json()), Ok(retry));
        }
        for bad in [
            json!(0),
            json!(0.5),
            json!(-1),
            json!(101),
            json!(1e300),
            json!("3"),
            json!(true),
            json!({}),
            json!({"same_node": 0.1}),
            json!({"other_mode": 3}),
            json!({"same_node": 1, "all_nodes": 1}),
            json!([1]),
        ] {
            assert!(Retry::from_json(&bad).is_err(), "{bad}");
        }
    }
}
