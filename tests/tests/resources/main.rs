//! Routes that workers declare, for functions and resources, with real processes: the library
//! behind a gateway.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod functions;
mod hooked;
mod library;
mod resource;
mod urls;
mod versions;
