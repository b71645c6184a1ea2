//! The demo worker: one function for each thing that Sluice does.
