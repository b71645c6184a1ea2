//! Where overrides are kept.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use super::entry::Entry;

/// Overrides in all: each snapshot is built with them, each gateway holds them.
pub(super) const MAX_OVERRIDES: usize = 10_000;

/// The store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// It cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// There is no room for another key.
    #[error("there are {MAX_OVERRIDES} overrides already")]
    Full,
}

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Changes with every change.
    pub(super) generation: u64,
    pub(super) entries: Vec<Entry>,
}

/// Keeps overrides.
pub(super) trait Store: Debug + Send + Sync {
    /// The generation of what is kept now; 0: nothing was ever kept, or all is lost.
    fn generation(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// All of it.
    fn load(&self) -> BoxFuture<'_, Result<Kept, StoreError>>;
    /// Puts an entry in place of the one with the same key; returns that one.
    fn put<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;
    /// Takes the entry with the key of this one out; returns it.
    fn remove<'a>(
        &'a self,
        key: &'a super::Key,
    ) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;
    /// Fills a store that has lost everything, unless another gateway was faster.
    fn restore<'a>(&'a self, kept: &'a Kept) -> BoxFuture<'a, Result<(), StoreError>>;
}
