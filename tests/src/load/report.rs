use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Texts kept of answers that should not have come.
const SAMPLES: usize = 10;

/// What became of one call that was sent.
pub(super) enum Fate {
    Ok,
    Failed(String),
    Wrong(String),
    Unclear(String),
    NotFinal,
    Hung,
    ClosedIdle,
    Cut,
}

/// The accounts of a load. Each call that was sent stands in exactly one column:
/// [`is_balanced`](Self::is_balanced) says so.
#[derive(Clone, Debug)]
pub struct Report {
    /// Calls sent.
    pub sent: u64,
    /// Answered with success, and with a result that passed the check.
    pub ok: u64,
    /// Answered with a clear error, per error code.
    pub failed: BTreeMap<String, u64>,
    /// Answered with somebody else's answer, or a result that failed the check.
    pub wrong: u64,
    /// Answered with something that is no envelope.
    pub unclear: u64,
    /// Answered with a frame after which more should follow, and does not on HTTP.
    pub not_final: u64,
    /// No answer within the limit, though the connection stayed open.
    pub hung: u64,
    /// A connection that had served before was closed before the first byte of an answer: the
    /// gateway may have closed it while the request was on its way, unread.
    pub closed_idle: u64,
    /// A new connection was closed without an answer, or any within one.
    pub cut: u64,
    /// Connections that were refused; nothing was sent on them, so they count for no call.
    pub refused: u64,
    /// The longest that a final answer took, success or error.
    pub slowest: Duration,
    /// The longest time without a good answer, up to the last one.
    pub longest_gap: Duration,
    /// Some of the wrong and unclear answers.
    pub samples: Vec<String>,
    last_ok: Instant,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            ok: 0,
            failed: BTreeMap::new(),
            wrong: 0,
            unclear: 0,
            not_final: 0,
            hung: 0,
            closed_idle: 0,
            cut: 0,
            refused: 0,
            slowest: Duration::ZERO,
            longest_gap: Duration::ZERO,
            samples: Vec::new(),
            last_ok: Instant::now(),
        }
    }

    pub(super) fn count(&mut self, fate: Fate, took: Duration) {
        self.sent += 1;
        if matches!(fate, Fate::Ok | Fate::Failed(_)) {
            self.slowest = self.slowest.max(took);
        }
        match fate {
            Fate::Ok => {
                self.ok += 1;
                self.longest_gap = self.longest_gap.max(self.last_ok.elapsed());
                self.last_ok = Instant::now();
            }
            Fate::Failed(code) => *self.failed.entry(code).or_default() += 1,
            Fate::Wrong(sample) => {
                self.wrong += 1;
                self.sample(sample);
            }
            Fate::Unclear(sample) => {
                self.unclear += 1;
                self.sample(sample);
            }
            Fate::NotFinal => self.not_final += 1,
            Fate::Hung => self.hung += 1,
            Fate::ClosedIdle => self.closed_idle += 1,
            Fate::Cut => self.cut += 1,
        }
    }

    fn sample(&mut self, text: String) {
        if self.samples.len() < SAMPLES {
            self.samples.push(text);
        }
    }

    /// Calls that a gateway took and did not finish while their connection stayed open. Refused and
    /// closed connections are counted apart, in [`disconnected`](Self::disconnected).
    pub fn lost(&self) -> u64 {
        self.hung + self.not_final
    }

    /// Calls whose connection was closed under them.
    pub fn disconnected(&self) -> u64 {
        self.closed_idle + self.cut
    }

    /// Calls answered with a clear error.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// If every call sent stands in exactly one column.
    pub fn is_balanced(&self) -> bool {
        let answered = self.ok + self.failed_total() + self.wrong + self.unclear;
        self.sent == answered + self.lost() + self.disconnected()
    }

    /// The promise for any fault but the death of a gateway: each call has one clear, right answer.
    /// Clear errors are allowed.
    #[track_caller]
    pub fn assert_all_answered(&self) {
        let bad = self.lost() + self.disconnected() + self.wrong + self.unclear;
        assert!(
            bad == 0 && self.is_balanced(),
            "not every call was answered clearly: {self}"
        );
    }

    /// The promise without a fault, and for planned restarts: each call succeeded.
    #[track_caller]
    pub fn assert_all_ok(&self) {
        assert!(
            self.ok == self.sent && self.sent > 0,
            "not every call succeeded: {self}"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            ok,
            failed,
            wrong,
            unclear,
            hung,
            not_final,
            closed_idle,
            cut,
            ..
        } = self;
        write!(
            f,
            "sent {sent}: ok {ok}, failed {failed:?}, wrong {wrong}, unclear {unclear}, hung {hung}, \
             not final {not_final}, closed while idle {closed_idle}, cut {cut}; refused connections \
             {}; slowest answer {:?}, longest gap {:?}",
            self.refused, self.slowest, self.longest_gap
        )?;
        for sample in &self.samples {
            write!(f, "\n  {sample}")?;
        }
        Ok(())
    }
}
