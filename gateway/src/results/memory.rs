//! Results in memory, for one process.
