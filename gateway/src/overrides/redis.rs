//! Overrides of all gateways, in Redis: a hash, and a generation that counts its changes.

use ::redis::{FromRedisValue, Script, cmd};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::decision::Key;
use super::entry::Entry;
use super::store::{Kept, MAX_OVERRIDES, Store, StoreError};
use crate::redis_link::{RedisLink, Unavailable};

/// In Redis.
#[derive(Debug)]
pub(super) struct RedisStore {
    link: RedisLink,
    entries: String,
    generation: String,
    edit: Script,
    restore: Script,
}

impl From<Unavailable> for StoreError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl RedisStore {
    pub(super) fn new(link: RedisLink) -> Self {
        // The braces keep both keys on one shard of a cluster.
        let tag = format!("{{{}:overrides}}", link.prefix());
        Self {
            link,
            entries: format!("{tag}:entries"),
            generation: format!("{tag}:generation"),
            edit: Script::new(include_str!("edit.lua")),
            restore: Script::new(include_str!("restore.lua")),
        }
    }

    async fn invoke<T: FromRedisValue>(
        &self,
        script: &Script,
        args: &[Vec<u8>],
    ) -> Result<T, StoreError> {
        let keys = [self.entries.as_str(), self.generation.as_str()];
        Ok(self.link.invoke(script, &keys, args).await?)
    }

    async fn change(&self, key: &Key, value: String) -> Result<Option<Entry>, StoreError> {
        let field = key.to_field();
        let args = [field.clone(), value, MAX_OVERRIDES.to_string()];
        let args = args.map(String::into_bytes);
        let (done, before): (i64, String) = self.invoke(&self.edit, &args).await?;
        if done == 0 {
            return Err(StoreError::Full);
        }
        Ok(Entry::read(&field, &before))
    }
}

impl Store for RedisStore {
    fn generation(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            let generation: Option<u64> = self.link.query(cmd("GET").arg(&self.generation)).await?;
            Ok(generation.unwrap_or(0))
        }
        .boxed()
    }

    fn load(&self) -> BoxFuture<'_, Result<Kept, StoreError>> {
        async move {
            // First: a change that comes between is then read again, not missed.
            let generation = self.generation().await?;
            let all: Vec<(String, String)> =
                self.link.query(cmd("HGETALL").arg(&self.entries)).await?;
            let mut entries = Vec::with_capacity(all.len());
            for (field, text) in all {
                match Entry::read(&field, &text) {
                    Some(entry) => entries.push(entry),
                    None => tracing::warn!(key = %field, "an override that this gateway does not understand: it is not in force here"),
                }
            }
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(Kept {
                generation,
                entries,
            })
        }
        .boxed()
    }

    fn put<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.change(&entry.key, entry.to_text()).boxed()
    }

    fn remove<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.change(key, String::new()).boxed()
    }

    fn restore<'a>(&'a self, kept: &'a Kept) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut args = vec![kept.generation.to_string().into_bytes()];
            for entry in &kept.entries {
                args.push(entry.key.to_field().into_bytes());
                args.push(entry.to_text().into_bytes());
            }
            let generation: i64 = self.invoke(&self.restore, &args).await?;
            if generation > 0 {
                tracing::warn!(
                    overrides = kept.entries.len(),
                    "Redis had lost the operators' overrides: written anew"
                );
            }
            Ok(())
        }
        .boxed()
    }
}
