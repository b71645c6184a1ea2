//! Dispatch over a scripted broker, with paused time.

mod review;
mod stream;
mod unary;
mod watch;
