//! Results in memory, for one process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sluice_protocol::response::Answer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Record, ResultStore, StoreError};
use crate::config::ResultOptions;

/// Most bytes of all answers together; the oldest go first.
const MAX_BYTES: usize = 256 << 20;

/// What a record weighs besides its answer's bytes.
const RECORD_BYTES: usize = 512;

/// Records of this process, lost when it ends.
///
/// Pending records stay until their call ends. Finished ones go after the time to live, or as the
/// oldest when there are too many; a store that is full of pending ones takes no more.
#[derive(Debug)]
pub struct MemoryResults {
    ttl: Duration,
    max_records: usize,
    max_bytes: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<String, Entry>,
    /// Finished records, oldest first, and when they go. All live equally long, so the first to
    /// finish is the first to go.
    finished: VecDeque<(Instant, String)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// Triggered when the record gets its answer.
    finished: CancellationToken,
    /// Triggered when somebody asks to cancel.
    cancel: CancellationToken,
}

impl MemoryResults {
    /// A store without records.
    #[must_use]
    pub fn new(options: &ResultOptions) -> Self {
        Self {
            ttl: options.ttl,
            max_records: options.max_records,
            max_bytes: MAX_BYTES,
            table: Mutex::default(),
        }
    }

    fn put_now(&self, id: &str, record: Record) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut table = self.table.lock();
        table.expire(now);
        if !table.entries.contains_key(id) {
            table.make_room(self.max_records)?;
            table.insert(id, &record);
        }
        if let Some(answer) = record.answer {
            table.finish(id, answer, now + self.ttl);
            table.limit_bytes(self.max_bytes);
        }
        Ok(())
    }

    fn get_now(&self, id: &str) -> Option<Record> {
        let mut table = self.table.lock();
        table.expire(Instant::now());
        table.entries.get(id).map(|entry| entry.record.clone())
    }

    /// One of a record's events, if there is such a record.
    fn event(&self, id: &str, pick: fn(&Entry) -> &CancellationToken) -> Option<CancellationToken> {
        self.table.lock().entries.get(id).map(|e| pick(e).clone())
    }
}

impl Table {
    fn expire(&mut self, now: Instant) {
        while self.finished.front().is_some_and(|(at, _)| *at <= now) {
            self.drop_oldest();
        }
    }

    /// Drops the oldest finished record; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, id)) = self.finished.pop_front() else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= weight(&entry.record);
        }
        true
    }

    fn make_room(&mut self, max_records: usize) -> Result<(), StoreError> {
        while self.entries.len() >= max_records {
            if !self.drop_oldest() {
                return Err(StoreError::Full);
            }
        }
        Ok(())
    }

    /// Drops the oldest answers while all together are too large; the newest stays in any case.
    fn limit_bytes(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes && self.finished.len() > 1 {
            self.drop_oldest();
        }
    }

    fn insert(&mut self, id: &str, record: &Record) {
        let record = Record {
            answer: None,
            ..record.clone()
        };
        self.bytes += weight(&record);
        let entry = Entry {
            record,
            finished: CancellationToken::new(),
            cancel: CancellationToken::new(),
        };
        self.entries.insert(id.to_owned(), entry);
    }

    fn finish(&mut self, id: &str, answer: Answer, expires: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if entry.record.answer.is_some() {
            return;
        }
        self.bytes -= weight(&entry.record);
        entry.record.answer = Some(answer);
        self.bytes += weight(&entry.record);
        entry.finished.cancel();
        self.finished.push_back((expires, id.to_owned()));
    }
}

/// About how many bytes a record holds.
fn weight(record: &Record) -> usize {
    let answer = match &record.answer {
        Some(Answer::Result(payload) | Answer::Item { payload, .. }) => payload.bytes.len(),
        Some(Answer::Error(error)) => {
            let details = error
                .details
                .as_ref()
                .and_then(|d| serde_json::to_vec(d).ok());
            error.message.len() + details.map_or(0, |d| d.len())
        }
        _ => 0,
    };
    let owner = record.owner.as_ref().map_or(0, String::len);
    RECORD_BYTES + record.request_id.as_str().len() + owner + answer
}

impl ResultStore for MemoryResults {
    fn put<'a>(&'a self, id: &'a str, record: Record) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.put_now(id, record) })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.get_now(id)) })
    }

    fn finished<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let Some(finished) = self.event(id, |e| &e.finished) else {
                return Ok(None);
            };
            finished.cancelled().await;
            Ok(self.get_now(id))
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let table = self.table.lock();
            let pending = table.entries.get(id).filter(|e| e.record.answer.is_none());
            pending.inspect(|entry| entry.cancel.cancel());
            Ok(pending.is_some())
        })
    }

    fn cancelled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match self.event(id, |e| &e.cancel) {
                Some(cancel) => cancel.cancelled().await,
                None => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use sluice_protocol::{Payload, RequestId};
    use tokio::time::advance;

    const TTL: Duration = Duration::from_secs(60);

    fn store(max_records: usize) -> MemoryResults {
        MemoryResults::new(&ResultOptions {
            ttl: TTL,
            max_records,
        })
    }

    fn pending() -> Record {
        Record {
            request_id: RequestId::new("r").unwrap(),
            owner: Some("u".to_owned()),
            answer: None,
            within: None,
        }
    }

    fn done(json: &'static str) -> Record {
        Record {
            answer: Some(Answer::Result(Payload::json(json))),
            ..pending()
        }
    }

    async fn known(store: &MemoryResults, ids: &[&str]) -> Vec<bool> {
        let mut out = Vec::new();
        for id in ids {
            out.push(store.get(id).await.unwrap().is_some());
        }
        out
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_pending_then_finished_then_gone() {
        let store = store(10);
        assert_eq!(store.get("a").await, Ok(None));
        store.put("a", pending()).await.unwrap();
        assert_eq!(store.get("a").await, Ok(Some(pending())));
        // However long it takes: the time counts from the answer on.
        advance(TTL * 10).await;
        store.put("a", done("1")).await.unwrap();
        advance(TTL - Duration::from_millis(1)).await;
        assert_eq!(store.get("a").await, Ok(Some(done("1"))));
        advance(Duration::from_millis(1)).await;
        assert_eq!(store.get("a").await, Ok(None));
        assert_eq!(store.table.lock().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_stays() {
        let store = store(10);
        store.put("a", pending()).await.unwrap();
        store.put("a", done("1")).await.unwrap();
        advance(TTL / 2).await;
        store.put("a", done("2")).await.unwrap();
        assert_eq!(store.get("a").await, Ok(Some(done("1"))));
        advance(TTL / 2).await;
        assert_eq!(store.get("a").await, Ok(None), "its time was not renewed");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_finished_makes_room_and_pending_ones_never_do() {
        let store = store(3);
        for id in ["a", "b", "c"] {
            store.put(id, pending()).await.unwrap();
        }
        assert_eq!(store.put("d", pending()).await, Err(StoreError::Full));
        store.put("b", done("1")).await.unwrap();
        store.put("a", done("1")).await.unwrap();
        store.put("d", pending()).await.unwrap();
        let ids = ["a", "b", "c", "d"];
        assert_eq!(known(&store, &ids).await, [true, false, true, true]);
        // An answer always finds its pending record, full or not.
        store.put("c", done("1")).await.unwrap();
        assert_eq!(store.get("c").await, Ok(Some(done("1"))));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_together_are_bounded_in_bytes() {
        let mut store = store(100);
        store.max_bytes = 3 * (RECORD_BYTES + 100);
        let large = || Record {
            answer: Some(Answer::Result(Payload::json(vec![b'1'; 90]))),
            ..pending()
        };
        for id in ["a", "b", "c", "d"] {
            store.put(id, large()).await.unwrap();
        }
        let ids = ["a", "b", "c", "d"];
        assert_eq!(known(&store, &ids).await, [false, true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_answer() {
        let store = store(10);
        assert_eq!(store.finished("a").await, Ok(None));
        store.put("a", pending()).await.unwrap();
        let mut waiting = store.finished("a");
        assert_eq!((&mut waiting).now_or_never(), None);
        store.put("a", done("1")).await.unwrap();
        assert_eq!(waiting.await, Ok(Some(done("1"))));
        assert_eq!(store.finished("a").await, Ok(Some(done("1"))));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_pending_call_can_be_cancelled() {
        let store = store(10);
        assert_eq!(store.cancel("a").await, Ok(false));
        assert_eq!(store.cancelled("a").now_or_never(), None);
        store.put("a", pending()).await.unwrap();
        let mut cancelled = store.cancelled("a");
        assert_eq!((&mut cancelled).now_or_never(), None);
        assert_eq!(store.cancel("a").await, Ok(true));
        cancelled.await;
        store.put("a", done("1")).await.unwrap();
        assert_eq!(store.cancel("a").await, Ok(false));
    }
}
