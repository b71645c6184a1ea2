//! Where a version comes from.
