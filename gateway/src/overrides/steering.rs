//! Changes overrides, and puts them in force.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::decision::{Decision, Key};
use super::entry::Entry;
use super::follow::POLL;
use super::index::Overrides;
use super::memory::MemoryStore;
use super::redis::RedisStore;
use super::store::{Store, StoreError};
use crate::redis_link::RedisLink;
use crate::registry::{Registry, RegistryStopped};

/// A wish of an operator was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SteeringError {
    /// The store is away. Wishes can be made again: each says how it shall be, not what to do.
    #[error("{0}; the change may not be in force: try again")]
    Unavailable(String),
    /// There is no room.
    #[error("{0}; remove some that are not needed any more")]
    Full(String),
    /// The gateway shuts down.
    #[error(transparent)]
    Stopped(#[from] RegistryStopped),
}

impl From<StoreError> for SteeringError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::Full => Self::Full(error.to_string()),
        }
    }
}

/// What a change replaced, and what is there now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// What was there.
    pub before: Option<Entry>,
    /// What is there.
    pub after: Option<Entry>,
}

/// Keeps the overrides of this gateway current, and changes them for all.
#[derive(Debug)]
pub struct Steering {
    pub(super) store: Box<dyn Store>,
    pub(super) registry: Arc<Registry>,
    pub(super) now: ArcSwap<Overrides>,
    /// The newest generation that was made here, for others to hear of.
    pub(super) made: watch::Sender<u64>,
    /// How often the store is asked whether a hint was missed.
    pub(super) poll: Duration,
    /// One at a time reads the store and puts it in force, so that what is older never wins.
    loading: tokio::sync::Mutex<()>,
}

impl Steering {
    /// Overrides of this gateway alone, for as long as it runs.
    #[must_use]
    pub fn in_memory(registry: Arc<Registry>) -> Self {
        Self::over(Box::<MemoryStore>::default(), registry)
    }

    /// Overrides that all gateways with this Redis share.
    #[must_use]
    pub fn in_redis(link: RedisLink, registry: Arc<Registry>) -> Self {
        Self::over(Box::new(RedisStore::new(link)), registry)
    }

    pub(super) fn over(store: Box<dyn Store>, registry: Arc<Registry>) -> Self {
        Self {
            store,
            registry,
            now: ArcSwap::default(),
            made: watch::Sender::new(0),
            poll: POLL,
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// What is decided, as far as this gateway knows.
    #[must_use]
    pub fn overrides(&self) -> Arc<Overrides> {
        self.now.load_full()
    }

    /// Decides something; in force here when this returns, elsewhere a moment later.
    ///
    /// # Errors
    /// When the store does not take it, or the gateway shuts down.
    pub async fn decide(&self, decision: Decision, by: &str) -> Result<Changed, SteeringError> {
        let entry = Entry::new(decision, by, since_1970());
        // A store that has lost everything gets it back first, or this would be all that it has.
        self.refresh().await?;
        let before = self.store.put(&entry).await?;
        self.enforce().await?;
        let after = Some(entry);
        Ok(Changed { before, after })
    }

    /// Takes a decision back.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub async fn withdraw(&self, key: &Key) -> Result<Changed, SteeringError> {
        self.refresh().await?;
        let before = self.store.remove(key).await?;
        self.enforce().await?;
        let after = None;
        Ok(Changed { before, after })
    }

    async fn enforce(&self) -> Result<(), SteeringError> {
        let generation = self.reload().await?;
        self.made.send_replace(generation);
        Ok(())
    }

    /// Takes over what the store has now; returns its generation.
    pub(super) async fn reload(&self) -> Result<u64, SteeringError> {
        let _one = self.loading.lock().await;
        let kept = self.store.load().await?;
        let generation = kept.generation;
        let overrides = Arc::new(Overrides::from(kept));
        let registry = &self.registry;
        registry.set_overrides(overrides.clone()).await?;
        self.now.store(overrides);
        Ok(generation)
    }
}

/// Seconds since 1970.
fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}
