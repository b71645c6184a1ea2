//! Dispatch over a scripted broker, with paused time.

mod stream;
mod unary;
mod watch;
