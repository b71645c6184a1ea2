//! The edges: clients' bytes become calls, answers become bytes.

pub mod phoenix;
