//! The demo worker as a process of its own.
fn main() {}
