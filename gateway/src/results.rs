//! Results of async calls, kept for their callers to fetch.

pub mod memory;

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use sluice_protocol::response::Answer;

/// A result, or that it is still to come.
#[derive(Debug, Clone)]
pub struct Record {
    /// The client's id of the request.
    pub request_id: String,
    /// Whose it is; only the same user may read it. `None`: an anonymous caller's.
    pub owner: Option<String>,
    /// The final answer; `None`: pending.
    pub answer: Option<Answer>,
}

/// The store cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of async results is unavailable: {0}")]
pub struct StoreUnavailable(pub String);

/// Keeps records of async calls by an unguessable id, for a limited time.
pub trait ResultStore: Debug + Send + Sync {
    /// Writes or overwrites a record.
    fn put<'a>(
        &'a self,
        id: &'a str,
        record: Record,
    ) -> BoxFuture<'a, Result<(), StoreUnavailable>>;
    /// Reads a record.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreUnavailable>>;
    /// Waits until the record has its answer; `None` if there is no such record (any more).
    fn finished<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreUnavailable>>;
    /// Asks whoever runs the call to cancel it; false if it has ended or is not known.
    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreUnavailable>>;
    /// Resolves when somebody asked to cancel the call.
    fn cancelled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
}
