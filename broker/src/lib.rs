//! An embedded broker that speaks the NATS client protocol, for development and tests.
