//! What operators have decided, whatever workers announce: in force on every gateway, and after
//! every restart.
//!
//! ```text
//! admin API ──► Steering ── change ──► Store: Redis, or this process
//!                  │  ▲                  │
//!                  │  └── hint, poll ────┘   (other gateways)
//!                  ▼
//!              Registry: built into the next snapshot, so that calls read nothing more
//! ```
//!
//! An override is one fact with one key: the last word on a key wins, and two operators who decide
//! different things do not undo each other.

mod decision;
mod deprecation;
mod entry;
mod follow;
mod index;
mod memory;
mod pins;
mod redis;
mod steering;
mod store;
#[cfg(test)]
mod tests;

pub use self::decision::{Client, Decision, FunctionKey, Key};
pub use self::deprecation::{Deprecation, Notice};
pub use self::entry::Entry;
pub use self::index::{FunctionWord, Overrides};
pub use self::pins::Pins;
pub use self::steering::{Changed, Steering, SteeringError};
