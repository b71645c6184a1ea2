//! What a call costs without a network: `cargo bench -p sluice-gateway`.
//!
//! | module | what it measures |
//! |---|---|
//! | [`codec`] | requests, args, frames of workers |
//! | [`limiter`] | limits in memory: one caller, many callers |
//! | [`pipeline`] | a call through all stages, over a broker that answers at once |
//! | [`selection`] | each mode, with 1, 10 and 200 instances |
//!
//! Times depend on the machine; compare two of them from one run.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod codec;
mod limiter;
mod pipeline;
mod rig;
mod selection;

// As the gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}
