//! Sockets: clients that speak the Phoenix Channels protocol, unchanged.
//!
//! ```text
//! upgrade   HTTP becomes a WebSocket; who connects, from which origin, which serializer
//! socket    one task a client: frames in, calls, frames out; joins, leaves, timers
//! frame     what a frame says                          text, binary   how it is written
//! quick     frames that are plainly calls              written        replies, as messages
//! channel   one join of a topic, and its frames        calls          what has no final answer yet
//! outbox    what waits to be written, bounded          ready          which calls may say something
//! auth      who speaks                                 service        who answers
//! clock     idle, slow, shutting down                bell           whether it is worth a look
//! ```
//!
//! The protocol is described in `docs/phoenix.md`.

pub mod auth;
mod bell;
pub mod binary;
mod calls;
mod channel;
mod clock;
pub mod frame;
mod noticed;
pub mod options;
mod origin;
mod outbox;
mod quick;
mod ready;
pub mod service;
mod socket;
#[cfg(test)]
mod tests;
pub mod text;
mod transport;
pub mod upgrade;
mod written;

pub use self::auth::{Claims, Guard, SocketAuth};
pub use self::clock::Drain;
pub use self::options::Phoenix as Options;
pub use self::service::CallService;
pub use self::upgrade::Sockets;
