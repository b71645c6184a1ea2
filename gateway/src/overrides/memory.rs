//! Overrides of one gateway, for as long as it runs.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;

use super::decision::Key;
use super::entry::Entry;
use super::store::{Kept, MAX_OVERRIDES, Store, StoreError};

/// In this process.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    kept: Mutex<(u64, BTreeMap<Key, Entry>)>,
}

impl MemoryStore {
    fn edit(&self, key: &Key, entry: Option<&Entry>) -> Result<Option<Entry>, StoreError> {
        let mut kept = self.kept.lock();
        let (generation, entries) = &mut *kept;
        if entry.is_some() && !entries.contains_key(key) && entries.len() >= MAX_OVERRIDES {
            return Err(StoreError::Full);
        }
        *generation += 1;
        Ok(match entry {
            Some(entry) => entries.insert(key.clone(), entry.clone()),
            None => entries.remove(key),
        })
    }
}

impl Store for MemoryStore {
    fn generation(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        ready(Ok(self.kept.lock().0)).boxed()
    }

    fn load(&self) -> BoxFuture<'_, Result<Kept, StoreError>> {
        let kept = self.kept.lock();
        let kept = Kept {
            generation: kept.0,
            entries: kept.1.values().cloned().collect(),
        };
        ready(Ok(kept)).boxed()
    }

    fn put<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        ready(self.edit(&entry.key, Some(entry))).boxed()
    }

    fn remove<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        ready(self.edit(key, None)).boxed()
    }

    fn restore<'a>(&'a self, _: &'a Kept) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(Ok(())).boxed()
    }
}
