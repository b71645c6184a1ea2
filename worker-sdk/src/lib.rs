//! Write Sluice workers: functions that clients call through the gateway.
//!
//! A worker is an ordinary program that connects to NATS, says which functions it has, and answers
//! calls. A handler is a plain async function:
//!
//! ```no_run
//! use serde_json::{Value, json};
//! use sluice_worker::{Error, Worker, WorkerError};
//!
//! async fn greet(args: Value) -> Result<Value, Error> {
//!     let name = args["name"].as_str().ok_or_else(|| Error::new("no_name", "who are you?"))?;
//!     Ok(json!({ "text": format!("hello {name}") }))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), WorkerError> {
//!     Worker::builder("demo").function("greet", greet).run().await
//! }
//! ```
//!
//! | to | see |
//! |---|---|
//! | write handlers, with typed args and results | [`Handler`] |
//! | answer with a stream of items | [`StreamHandler`], [`StreamSender`] |
//! | tell the gateway more of a function: version, permission, retry, routes | [`Function`] |
//! | know the caller, the deadline, cancellation | [`Context`] |
//! | call functions of other workers | [`Context::call`] |
//! | fail | [`Error`] |
//! | connect, limit, name, sign | [`WorkerBuilder`] |
//! | stop in order | [`WorkerBuilder::run`], [`Worker::shutdown`] |
//! | test handlers without a broker | [`testing::TestWorker`] |
//! | serve older versions by today's functions | [`change`] |
//! | serve HTTP resources as a decision graph | [`resource`] |
//!
//! `docs/writing-workers.md` is the guide, `docs/worker-protocol.md` the wire format.
//!
//! # What the worker does by itself
//!
//! It connects in any order of starts and for ever; announces its functions and joins their queue
//! groups once a gateway has accepted them; beats while a handler takes long; answers `overloaded`
//! when it is full; drops handlers whose caller is gone; catches panics; makes streams wait for
//! slow clients; and on SIGTERM finishes what it holds before it leaves.

mod args;
mod builder;
mod call;
pub mod change;
mod codec;
mod context;
mod credentials;
mod error;
mod function;
mod handler;
mod options;
pub mod resource;
mod runtime;
mod stream;
pub mod telemetry;
pub mod testing;
mod worker;

pub use args::{Arg, DEFAULT_LIST_ITEMS, DEFAULT_STRING_BYTES};
pub use builder::{
    DEFAULT_CONCURRENCY, DEFAULT_DRAIN_TIMEOUT, DEFAULT_QUEUE, ServiceBuilder, WorkerBuilder,
};
pub use call::Call;
pub use context::Context;
pub use credentials::{credentials_file, sign_with_credentials};
pub use error::Error;
pub use function::Function;
pub use handler::Handler;
pub use options::{DEFAULT_NATS_URL, NATS_URL_ENV};
pub use stream::{StreamHandler, StreamSender};
pub use worker::{Worker, WorkerError};

pub use schemars::{self, JsonSchema};
pub use sluice_protocol::{Executed, Identity, InstanceId};
