//! An embedded broker that speaks the NATS client protocol, for development and tests.
//!
//! `sluice dev` and the tests need a broker without anything to install. This one serves core NATS
//! to any client: publish and subscribe, wildcards, queue groups, headers, request and reply with
//! "no responders". It keeps nothing on disk, knows no clusters and no JetStream; for production
//! run `nats-server`. What it speaks and refuses stands in `docs/embedded-broker.md`.
//!
//! # Layout
//!
//! In the order in which bytes flow:
//!
//! - `server`: the listener; accepts connections and owns their lifetime
//! - `connection`: one socket: a task that reads, a task that writes, timers
//! - `parse`: bytes to operations; pure, bounded, never panics
//! - `session`: what each operation does; `connect` and `info` are its JSON
//! - `route`: takes one message to its subscribers
//! - `sublist`, `leaf`, `subscription` and `subject`: the subscription index, a trie
//! - `client`: what other connections see of a client: its subscriptions and its outbox
//! - `outbox` and `batch`: bounded, coalesced writes
//! - `refusal`: every `-ERR` and whether it closes the connection
//!
//! # Example
//!
//! ```
//! use sluice_broker::{Broker, BrokerOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::spawn(([127, 0, 0, 1], 0).into(), BrokerOptions::default()).await?;
//! let client = async_nats::connect(broker.url()).await?;
//! client.publish("greetings", "hello".into()).await?;
//! client.flush().await?;
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod batch;
mod client;
mod connect;
mod connection;
mod info;
mod leaf;
mod options;
mod outbox;
mod parse;
mod refusal;
mod route;
mod server;
mod session;
mod subject;
mod sublist;
mod subscription;
mod sync;

pub use options::{Auth, BrokerOptions};
pub use server::{Broker, RunningBroker};
