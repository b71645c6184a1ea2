//! What the Sluice gateway and its workers agree on: pure, no I/O, no async.
