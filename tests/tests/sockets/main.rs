//! What the socket edge promises, with real processes: hostile clients, slow ones, and many.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod hostile;
mod machine;
mod many;
mod measure;
mod slow;
