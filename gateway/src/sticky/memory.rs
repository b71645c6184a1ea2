//! Sticky keys in memory, for one process.
