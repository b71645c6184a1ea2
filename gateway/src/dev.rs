//! What only `sluice dev` has: a page that lists functions and calls them.

pub mod page;
