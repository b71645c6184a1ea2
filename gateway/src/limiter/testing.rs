//! Limits and demands for tests.

use std::sync::Arc;

use super::limit::Limit;
use super::rules::Rule;
use super::store::Demand;

/// A limit over all calls.
pub(crate) fn limit(name: &str, key: &str, max_requests: u32, window_ms: u64) -> Limit {
    Limit {
        name: name.into(),
        service: None,
        function: None,
        key: key.parse().unwrap(),
        max_requests,
        window_ms,
        cost: 1,
        shadow: false,
        named_only: false,
    }
}

/// A demand of one call of `key`.
pub(super) fn demand(name: &str, key: u32, max_requests: u32, window_ms: u64) -> Demand {
    let rule = Rule {
        limit: limit(name, "all", max_requests, window_ms),
        epoch: 0,
        counts: Arc::default(),
    };
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&key.to_le_bytes());
    Demand::new(&Arc::new(rule), digest)
}
