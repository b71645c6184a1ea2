//! Dispatch over a scripted broker, with paused time.

mod faults;
mod guards;
mod stream;
mod unary;
mod watch;
