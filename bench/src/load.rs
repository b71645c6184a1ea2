//! Load that accounts for each request: sent, answered rightly, or counted as an error.

pub(crate) mod http;
pub(crate) mod nats;
pub(crate) mod socket;

use std::time::Duration;

use hdrhistogram::Histogram;

/// How long a run goes on. What is answered before `begin` warms up and is not counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) begin: tokio::time::Instant,
    pub(crate) end: tokio::time::Instant,
}

impl Window {
    /// From `warm_up` after now, for `length`.
    pub(crate) fn after(warm_up: Duration, length: Duration) -> Self {
        let begin = tokio::time::Instant::now() + warm_up;
        let end = begin + length;
        Self { begin, end }
    }
}

/// What the tasks of a run noted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Right answers, or items, within the window.
    pub(crate) count: u64,
    /// Nanoseconds from sending to the answer; items of streams have none.
    pub(crate) times: Histogram<u64>,
    /// Wrong answers and failures.
    pub(crate) errors: u64,
    /// The first of them.
    pub(crate) first_error: Option<String>,
}

impl Tally {
    /// Up to a minute, to three digits.
    pub(crate) fn new() -> Self {
        let times = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        #[expect(clippy::expect_used, reason = "the bounds are constant and sound")]
        let times = times.expect("bounds of the histogram");
        Self {
            count: 0,
            times,
            errors: 0,
            first_error: None,
        }
    }

    /// An answer that came now.
    pub(crate) fn answered(&mut self, window: Window, sent: tokio::time::Instant, right: bool) {
        let now = tokio::time::Instant::now();
        if !right {
            self.failed("an answer is not what was asked for");
        } else if now >= window.begin && now < window.end {
            self.took(now - sent);
        }
    }

    /// A right answer that took so long.
    pub(crate) fn took(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.times.saturating_record(nanos);
        self.count += 1;
    }

    /// An item of a stream that came now.
    pub(crate) fn item(&mut self, window: Window) {
        let now = tokio::time::Instant::now();
        if now >= window.begin && now < window.end {
            self.count += 1;
        }
    }

    /// Something went wrong.
    pub(crate) fn failed(&mut self, why: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_owned());
    }

    /// Adds what another task noted.
    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        #[expect(clippy::expect_used, reason = "all histograms have the same bounds")]
        self.times.add(other.times).expect("same bounds");
    }
}

/// Adds up what all tasks noted.
pub(crate) async fn gather(mut tasks: tokio::task::JoinSet<Tally>) -> Tally {
    let mut all = Tally::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(tally) => all.add(tally),
            Err(error) => all.failed(&error.to_string()),
        }
    }
    all
}
