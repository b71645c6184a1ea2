//! The limiter as a whole, and both stores held against one model.

mod cases;
mod model;
mod race;
mod redis;
mod runtime;
