//! Waiting for a condition with a limit, in place of sleeping and hoping.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::{Error, LIMIT, Result};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// What one look at the condition found: `bool`, `Option<T>`, or a `Result` of one of them or of
/// `()` whose error says why not yet.
pub trait Outcome {
    /// What the condition yields once it holds.
    type Value;

    /// The value, or why the condition does not hold yet.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_owned())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "none".to_owned())
    }
}

impl Outcome for () {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

// An `Ok(false)` or `Ok(None)` does not hold: nobody means that by it.
impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    type Value = T::Value;

    fn outcome(self) -> Result<T::Value, String> {
        self.map_err(|error| error.to_string())?.outcome()
    }
}

/// Looks again and again until `check` holds, for at most [`LIMIT`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut looks = 0;
/// sluice_e2e::eventually("third look", || {
///     looks += 1;
///     std::future::ready(looks == 3)
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[track_caller]
pub fn eventually<F, Fut>(
    what: &str,
    check: F,
) -> impl Future<Output = Result<<Fut::Output as Outcome>::Value>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output: Outcome>,
{
    eventually_within(LIMIT, what, check)
}

/// [`eventually`] with a limit of its own. A look that hangs counts as one that fails.
#[track_caller]
pub fn eventually_within<F, Fut>(
    limit: Duration,
    what: &str,
    mut check: F,
) -> impl Future<Output = Result<<Fut::Output as Outcome>::Value>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output: Outcome>,
{
    let asked_at = Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        let mut last = "never looked".to_owned();
        loop {
            match timeout_at(deadline, check()).await.map(Outcome::outcome) {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(why)) => last = why,
                Err(_) => last = format!("a look did not return; before it: {last}"),
            }
            if Instant::now() + POLL_EVERY > deadline {
                return Err(Error::new(format!(
                    "{asked_at}: {what}: not within {limit:?}; last look: {last}"
                )));
            }
            sleep(POLL_EVERY).await;
        }
    }
}
