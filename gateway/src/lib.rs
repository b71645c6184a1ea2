//! The Sluice API gateway: library and the sluice binary.
