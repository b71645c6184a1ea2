//! Which instance a key sticks to.

pub mod memory;
pub mod redis;

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use sluice_protocol::InstanceId;

/// The store cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of sticky keys is unavailable: {0}")]
pub struct StoreUnavailable(pub String);

/// Maps a function's keys to instances, for a time that each use renews.
pub trait StickyStore: Debug + Send + Sync {
    /// The instance of `key`, its time renewed.
    fn get<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>>;
    /// Binds `key` to `instance` if it is bound to `expected`; returns who it is bound to then.
    fn assign<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
        expected: Option<&'a InstanceId>,
        instance: &'a InstanceId,
    ) -> BoxFuture<'a, Result<InstanceId, StoreUnavailable>>;
    /// The instance of `key`, its time not renewed.
    fn look<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<InstanceId>, StoreUnavailable>>;
    /// Forgets `key`: its next call picks anew. Returns whether it was bound.
    fn forget<'a>(
        &'a self,
        scope: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<bool, StoreUnavailable>>;
}
