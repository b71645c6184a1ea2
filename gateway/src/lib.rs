//! The Sluice gateway: takes calls from clients and dispatches them over NATS to workers.
//!
//! # The life of a request
//!
//! ```text
//! edge      bytes in: HTTP (or a socket) becomes a pipeline::Call
//! pipeline  resolve → before hook → authorize → limit → validate, one line a stage, one type a stage passed
//! dispatch  select an instance, send, watch, retry, keep the deadline
//! reply     results and stream items go back to the edge, which prints them
//! ```
//!
//! The [`registry`] knows what functions and instances there are: an immutable snapshot, swapped
//! whole. A [`shard::Shard`] is one thread's share of all this; there are no globals.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod dev;
pub mod diagnostics;
pub mod dispatch;
pub mod edge;
pub mod health;
mod hints;
pub mod hooks;
pub mod idempotency;
pub mod identity;
pub mod limiter;
pub mod live;
pub mod middleware;
pub mod overrides;
pub mod pipeline;
mod random;
pub mod redis_link;
pub mod registry;
pub mod reply;
pub mod results;
pub mod shard;
pub mod sticky;
pub mod stores;
mod supervise;
pub mod telemetry;
pub mod usage;
