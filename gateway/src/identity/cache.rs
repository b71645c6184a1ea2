//! Tokens that were verified, by their hash, until they expire: a signature is checked once.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::Session;

/// Parts with a lock each, so that shards seldom wait for one another.
const PARTS: usize = 16;

type Hash = [u8; 32];
type Part = Mutex<LruCache<Hash, Arc<Session>>>;

/// Sessions of verified tokens; the least recently used one goes when it is full.
pub(super) struct Cache {
    parts: Option<Vec<Part>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// The hash by which a credential is known. Whoever could find two with one hash could forge
/// signatures, too.
pub(super) fn hash(credential: &str) -> Hash {
    Sha256::digest(credential.as_bytes()).into()
}

impl Cache {
    /// Room for about `most`; none at all for 0.
    pub(super) fn new(most: usize) -> Self {
        let each = NonZeroUsize::new(most.div_ceil(PARTS));
        let part = |size| Mutex::new(LruCache::new(size));
        Self {
            parts: each.map(|size| (0..PARTS).map(|_| part(size)).collect()),
        }
    }

    fn part(&self, hash: &Hash) -> Option<&Part> {
        let parts = self.parts.as_ref()?;
        parts.get(usize::from(hash[0]) % PARTS)
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Arc<Session>> {
        self.part(hash)?.lock().get(hash).cloned()
    }

    pub(super) fn put(&self, hash: Hash, session: Arc<Session>) {
        if let Some(part) = self.part(&hash) {
            part.lock().put(hash, session);
        }
    }

    pub(super) fn remove(&self, hash: &Hash) {
        if let Some(part) = self.part(hash) {
            part.lock().pop(hash);
        }
    }

    /// When keys change: what the old ones verified is to be verified again.
    pub(super) fn clear(&self) {
        for part in self.parts.iter().flatten() {
            part.lock().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets() {
        let cache = Cache::new(32);
        for n in 0..1000 {
            cache.put(hash(&n.to_string()), Arc::new(Session::default()));
        }
        let held = |c: &Cache| {
            (0..1000)
                .filter(|n: &i32| c.get(&hash(&n.to_string())).is_some())
                .count()
        };
        assert_eq!(held(&cache), 32);
        cache.clear();
        assert_eq!(held(&cache), 0);
        let none = Cache::new(0);
        none.put(hash("a"), Arc::new(Session::default()));
        assert!(none.get(&hash("a")).is_none());
    }
}
