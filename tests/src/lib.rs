//! End-to-end tests: real processes, real NATS, real Redis.
