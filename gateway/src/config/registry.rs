//! `[registry]`

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_protocol::ServiceName;

use super::kind::number::{Flag, Millis};
use super::kind::secret::ServiceSecrets;
use super::kind::text::List;
use super::section::section;

section! {
    /// Which workers may register what.
    ["registry"] RegistryOptions {
        /// Whether workers may register without a secret.
        open: bool = false, Flag;
        /// Secrets by service: `[registry.secrets]`, then `users = "…"`. A worker signs with its
        /// service's secret what it registers.
        secrets: BTreeMap<String, String> = BTreeMap::new(), ServiceSecrets;
        /// The only services that may register; empty: any.
        services: Vec<String> = Vec::new(), List {
            what: "services",
            check: |name| ServiceName::new(name).map(drop).map_err(|e| e.to_string()),
        };
        /// An instance is gone after so long without heartbeat. Workers send one every 5 seconds,
        /// a fifth more or less.
        expiry: Duration = Duration::from_secs(18), Millis::within(100..=3_600_000);
        /// A function stays known for so long after its last instance.
        function_ttl: Duration = Duration::from_secs(600), Millis::within(0..=30 * 24 * 3_600_000);
        /// How long refused configs are kept.
        refused_ttl: Duration = Duration::from_secs(24 * 3600), Millis::within(0..=30 * 24 * 3_600_000);
    }
}
