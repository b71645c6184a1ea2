//! Dispatch over a scripted broker, with paused time.

mod faults;
mod stream;
mod unary;
mod watch;
