//! `[identity]`

use super::kind::number::Flag;
use super::section::section;

section! {
    /// How callers are identified.
    ["identity"] IdentityOptions {
        /// Believe what clients say of themselves. For development.
        trust_client_identity: bool = false, Flag;
    }
}
