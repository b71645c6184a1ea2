//! What the Sluice gateway and its workers agree on: names, subjects, headers, messages, rules.
//!
//! This crate is pure: no I/O, no async, no clock. Both sides depend on it, so they cannot
//! disagree on a subject, a header or a rule. The formats are described for other languages in
//! `docs/client-protocol.md` and `docs/worker-protocol.md`, and pinned by `tests/golden/`.
//!
//! # One call
//!
//! ```text
//! client            gateway                         NATS                        worker
//!   │ Request          │                              │                            │
//!   ├─────────────────►│ resolve, authorize, validate │                            │
//!   │                  ├─ sluice.call.<s>.<v>.<f> ────┼── queue group q ──────────►│
//!   │                  │   headers: CallHeaders       │                            │
//!   │                  │◄─ _INBOX.sluice.<gw>.<shard>.<token> ── beat (after 100 ms)┤
//!   │                  │◄────────────── result | error | item… end ────────────────┤
//!   │ Response         │                              │                            │
//!   │◄─────────────────┤                              │                            │
//! ```
//!
//! # One registration
//!
//! ```text
//! worker                                   gateway
//!   ├─ registry.announce.<s>.<i> announce ───►│ checks the whole config
//!   │◄──────────────── accepted | refused ────┤
//!   │  joins queue group q, flushes           │
//!   ├─ heartbeat (ready), then every 5 s ────►│
//!   │                                         │ (a gateway that starts later)
//!   │◄────────────────── registry.discover ───┤
//!   ├─ heartbeat (hash only) ────────────────►│
//!   │◄──────── registry.pull.<s>.<hash> ──────┤ only for a hash that it does not know
//!   ├─ config ───────────────────────────────►│
//! ```

pub mod argument;
pub mod batch;
pub mod change;
pub mod error;
pub mod frame;
pub mod function;
pub mod headers;
pub mod http;
pub mod id;
pub mod identity;
pub mod payload;
pub mod permission;
pub mod registry;
pub mod request;
pub mod response;
pub mod retry;
pub mod scan;
pub mod sign;
pub mod subject;
pub mod suggest;
pub mod trace;
pub mod version;
pub mod version_range;

pub use error::{CallError, ErrorCode, ErrorSource, Executed};
pub use frame::Frame;
pub use function::FunctionSpec;
pub use id::{FunctionName, InstanceId, RequestId, ServiceName};
pub use identity::Identity;
pub use payload::{Encoding, Payload};
pub use request::Request;
pub use response::Response;
pub use subject::Subjects;
pub use version::ApiVersion;
pub use version_range::VersionRange;

/// The version of the wire protocol that this crate speaks (`Sluice-Protocol`).
pub const PROTOCOL_VERSION: u32 = 1;
