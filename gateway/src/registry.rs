//! What functions and instances there are: soft state, told by workers, read without locks.

pub mod connection;
pub mod snapshot;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use self::snapshot::Snapshot;

/// The registry as the rest of the gateway sees it.
#[derive(Debug, Default)]
pub struct Registry {
    snapshot: ArcSwap<Snapshot>,
}

impl Registry {
    /// What is known now. Lock-free; hold it for one call at most.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts another snapshot in place.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}
