//! The limiter as a whole, and both stores held against one model.

mod batch;
mod cases;
mod model;
mod race;
mod redis;
mod runtime;
