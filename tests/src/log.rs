//! What a child process printed: kept, bounded, and something to wait on.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Lines kept; older ones are forgotten.
const KEPT_LINES: usize = 20_000;
/// Bytes kept of one line.
const KEPT_BYTES: usize = 16 * 1024;

/// The output of one process, both streams in the order in which their lines came.
pub struct Log {
    lines: Mutex<Lines>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    /// Lines forgotten, so that a position in the log stays valid.
    forgotten: usize,
    /// Streams that have not ended yet.
    open: usize,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    /// Reads `stream` into the log on a thread of its own until the stream ends.
    pub(crate) fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                log.push(&line);
                line.clear();
            }
            log.lock().open -= 1;
            log.changed.send_replace(());
        });
    }

    fn push(&self, line: &[u8]) {
        let line = &line[..line.len().min(KEPT_BYTES)];
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let mut lines = self.lock();
        lines.kept.push_back(text);
        if lines.kept.len() > KEPT_LINES {
            lines.kept.pop_front();
            lines.forgotten += 1;
        }
        drop(lines);
        self.changed.send_replace(());
    }

    /// The first line for which `wanted` holds, as soon as it is there; `None` once the process has
    /// closed its output without it.
    pub async fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut changed = self.changed.subscribe();
        let mut position = 0;
        loop {
            changed.borrow_and_update();
            let (found, ended) = self.find_from(&mut position, &wanted);
            if found.is_some() || ended {
                return found;
            }
            // The sender lives in `self`: this cannot fail.
            let _ = changed.changed().await;
        }
    }

    fn find_from(
        &self,
        position: &mut usize,
        wanted: impl Fn(&str) -> bool,
    ) -> (Option<String>, bool) {
        let lines = self.lock();
        let skip = position.saturating_sub(lines.forgotten);
        let found = lines
            .kept
            .iter()
            .skip(skip)
            .find(|line| wanted(line))
            .cloned();
        *position = lines.forgotten + lines.kept.len();
        (found, lines.open == 0)
    }

    /// Returns once both streams have ended.
    pub(crate) async fn ended(&self) {
        self.find(|_| false).await;
    }

    /// Lines that are there now and for which `wanted` holds.
    pub fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.lock().kept.iter().filter(|line| wanted(line)).count()
    }

    /// The last `n` lines, for a message.
    pub fn tail(&self, n: usize) -> String {
        let lines = self.lock();
        let skip = lines.kept.len().saturating_sub(n);
        let tail: Vec<_> = lines.kept.iter().skip(skip).map(String::as_str).collect();
        if tail.is_empty() {
            "(nothing printed)".to_owned()
        } else {
            tail.join("\n")
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
