//! `[identity]`

use std::time::Duration;

use super::kind::number::{Count, Flag, Millis};
use super::section::section;

section! {
    /// How callers are identified.
    ["identity"] IdentityOptions {
        /// Believe what clients say of themselves: user, device and roles. For development.
        trust_client_identity: bool = false, Flag;
        /// Refuse calls that no token or API key names a user for. With `trust_client_identity` a
        /// claimed user is enough.
        require_verified_user_id: bool = false, Flag;
        /// What happens to a `user_id` in a request whose caller is verified: `true`: the verified
        /// user takes its place; `false`: a request that names another user is refused.
        override_user_id: bool = true, Flag;
        /// How long a revocation of a user or a token is remembered: as long as tokens live.
        revocation_ttl: Duration = Duration::from_secs(24 * 3600), Millis::within(1000..=30 * 24 * 3_600_000);
        /// Most revocations that are remembered at once; beyond it the oldest are forgotten.
        max_revocations: usize = 100_000, Count::within(1..=10_000_000);
    }
}
