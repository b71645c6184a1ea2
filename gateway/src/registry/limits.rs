//! How much strangers may make the registry keep.

use std::time::Duration;

/// Every cap of the registry. Beyond one, a message is refused by name of the cap.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Bytes of an announce, or of the answer to a pull.
    pub(super) announce_bytes: usize,
    /// Bytes of a heartbeat or a leave.
    pub(super) heartbeat_bytes: usize,
    /// Services.
    pub(super) services: usize,
    /// Functions of one config.
    pub(super) functions_per_config: usize,
    /// Functions of all configs together; one that stands in two configs counts twice.
    pub(super) functions: usize,
    /// Configs of one service.
    pub(super) configs_per_service: usize,
    /// Bytes of the texts of all configs together.
    pub(super) config_bytes: usize,
    /// Instances of one service.
    pub(super) instances_per_service: usize,
    /// Instances of all services together.
    pub(super) instances: usize,
    /// Names in `features` or in `encodings`, each of at most 64 bytes.
    pub(super) names_per_list: usize,
    /// Pulls that wait for an answer at the same time.
    pub(super) pulls: usize,
    /// Refused configs that are kept.
    pub(super) refused: usize,
    /// Instances whose last nonce is kept.
    pub(super) nonces: usize,
}

/// The longest name in `features` or `encodings`, and the longest `config_version` is twice that.
pub(super) const NAME_BYTES: usize = 64;

/// How long an instance's last nonce is remembered after its last message.
pub(super) const NONCE_TTL: Duration = Duration::from_secs(24 * 3600);

impl Default for Limits {
    fn default() -> Self {
        Self {
            announce_bytes: 1 << 20,
            heartbeat_bytes: 4 << 10,
            services: 1000,
            functions_per_config: 2000,
            functions: 50_000,
            configs_per_service: 64,
            config_bytes: 256 << 20,
            instances_per_service: 2000,
            instances: 20_000,
            names_per_list: 32,
            pulls: 32,
            refused: 1000,
            nonces: 50_000,
        }
    }
}
