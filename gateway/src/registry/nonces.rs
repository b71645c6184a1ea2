//! The counters of signed messages: each instance's only grow, so nothing can be played again.

use std::collections::HashMap;

use sluice_protocol::{InstanceId, ServiceName};
use tokio::time::Instant;

use super::limits::NONCE_TTL;

/// The last counter of each instance. It outlives the instance: what was recorded of one that
/// left must not bring it back.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    last: HashMap<(ServiceName, InstanceId), (u64, Instant)>,
}

impl Nonces {
    /// Takes `counter` if it is newer than all before; with more than `max` instances the one
    /// that was heard of longest ago is forgotten.
    pub(super) fn take(
        &mut self,
        service: &ServiceName,
        instance: &InstanceId,
        counter: u64,
        now: Instant,
        max: usize,
    ) -> bool {
        let key = (service.clone(), instance.clone());
        if let Some((last, at)) = self.last.get_mut(&key) {
            let newer = counter > *last;
            if newer {
                (*last, *at) = (counter, now);
            }
            return newer;
        }
        if self.last.len() >= max {
            let oldest = self.last.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.last.remove(&oldest);
            }
        }
        self.last.insert(key, (counter, now));
        true
    }

    /// Forgets instances that have been silent for very long.
    pub(super) fn purge(&mut self, now: Instant) {
        self.last
            .retain(|_, (_, at)| now.duration_since(*at) < NONCE_TTL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_grow_and_are_kept_for_a_day() {
        let mut nonces = Nonces::default();
        let now = Instant::now();
        let service = ServiceName::new("s").unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|i| InstanceId::new(i).unwrap());
        let later = now + NONCE_TTL / 2;
        assert!(nonces.take(&service, &a, 5, now, 2));
        assert!(!nonces.take(&service, &a, 5, now, 2));
        assert!(!nonces.take(&service, &a, 4, now, 2));
        assert!(nonces.take(&service, &a, 9, later, 2));
        assert!(nonces.take(&service, &b, 1, now, 2));
        assert!(nonces.take(&service, &c, 1, later, 2), "evicts b");
        assert_eq!(nonces.last.len(), 2);
        assert!(!nonces.take(&service, &a, 8, later, 2), "a is still known");
        nonces.purge(now + NONCE_TTL);
        assert_eq!(nonces.last.len(), 2);
        nonces.purge(later + NONCE_TTL);
        assert!(nonces.last.is_empty());
    }
}
