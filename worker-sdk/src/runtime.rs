//! The worker at work: what happens between NATS and a handler.
//!
//! ```text
//! connection  one NATS client, its ups and downs
//! register    announce, join, heartbeat: one task for each service
//! intake      a message becomes a call, or a refusal      (one task for each subscription)
//! execute     a call becomes frames                       (one task for each call)
//! table       the calls that are held; cancel, credit, ping look here
//! ticker      beats and time limits of all held calls     (one task)
//! outbound    calls from handlers to other workers
//! discovery   answers to gateways that ask who is there
//! services    answers to NATS' own `$SRV` questions
//! drain       the ordered way out
//! ```

pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod discovery;
pub(crate) mod drain;
pub(crate) mod execute;
pub(crate) mod intake;
pub(crate) mod messages;
pub(crate) mod outbound;
pub(crate) mod outlet;
pub(crate) mod register;
pub(crate) mod reply;
pub(crate) mod running;
pub(crate) mod service;
pub(crate) mod services;
pub(crate) mod shared;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod ticker;
