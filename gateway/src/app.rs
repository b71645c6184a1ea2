//! Wires the parts from the configuration and owns their tasks, from start to the last flush.

mod dev;
mod serve;
mod shards;

pub use self::dev::{DevOptions, run_broker, run_dev};
pub use self::serve::{AppError, run_serve};
