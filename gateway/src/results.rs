//! Results of async calls, kept for their callers to fetch.

pub mod codec;
pub mod hub;
pub mod memory;
pub mod redis;

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_protocol::RequestId;
use sluice_protocol::response::Answer;

/// A result, or that it is still to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The client's id of the request.
    pub request_id: RequestId,
    /// Whose it is; only the same user may read it. `None`: an anonymous caller's.
    pub owner: Option<String>,
    /// The final answer; `None`: pending.
    pub answer: Option<Answer>,
    /// How long it may be pending still, when it is written; `None`: as long as any call.
    pub within: Option<Duration>,
}

/// The store cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or does not answer.
    #[error("the store of async results is unavailable: {0}")]
    Unavailable(String),
    /// It holds as many pending calls as it may.
    #[error("too many async calls are pending")]
    Full,
}

/// Keeps records of async calls by an unguessable id, for a limited time.
///
/// A record is written twice: pending, then with its answer. The first answer stays: a later
/// write changes nothing.
pub trait ResultStore: Debug + Send + Sync {
    /// Writes a record: a new one, or the answer of one that is pending.
    fn put<'a>(&'a self, id: &'a str, record: Record) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Reads a record.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;
    /// Waits until the record has its answer; `None` if there is no such record (any more).
    fn finished<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;
    /// Asks whoever runs the call to cancel it; false if it has ended or is not known.
    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// Resolves when somebody asked to cancel the call; never for one that is not known.
    fn cancelled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
}
