//! Every span of a call, in one place: its name, where it hangs, what it says.
//!
//! Unlike labels of metrics, fields of spans may name single requests.

/// One kind of span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanKind {
    /// `part.what`.
    pub name: &'static str,
    /// Of the kinds here, or what stands for whoever sent the call.
    pub parent: &'static str,
    /// What it stands for.
    pub help: &'static str,
    /// The attributes that it may have.
    pub fields: &'static [&'static str],
    /// The events that it may have, in their order.
    pub events: &'static [&'static str],
}

/// A socket of a client.
pub const EDGE_SOCKET: SpanKind = SpanKind {
    name: "edge.socket",
    parent: "none: a trace of its own, sampled by `telemetry.sample_ratio`",
    help: "A Phoenix socket, from its opening to its end. Its calls have traces of their own: a socket may live for days.",
    fields: &["outcome"],
    events: &[],
};

/// A call.
pub const PIPELINE_CALL: SpanKind = SpanKind {
    name: "pipeline.call",
    parent: "the client's span, or none",
    help: "A call, from its entry into the pipeline to its final answer: of an async call the late result, of a stream its end.",
    fields: &["service", "function", "version", "request_id", "outcome"],
    events: &[
        "resolved",
        "admitted",
        "hooked",
        "translated",
        "permitted",
        "limited",
        "validated",
    ],
};

/// An attempt.
pub const DISPATCH_NATS: SpanKind = SpanKind {
    name: "dispatch.nats",
    parent: "`pipeline.call`",
    help: "One attempt: a message to a worker, up to its last reply. `instance` only where it is known who held the call.",
    fields: &[
        "messaging.system",
        "service",
        "function",
        "version",
        "request_id",
        "attempt",
        "selection",
        "instance",
        "outcome",
    ],
    events: &[],
};

/// The worker's part.
pub const WORKER_CALL: SpanKind = SpanKind {
    name: "worker.call",
    parent: "`dispatch.nats`",
    help: "A call at a worker of the SDK, from its arrival to its last reply; the handler's own calls are its children.",
    fields: &[
        "service",
        "function",
        "version",
        "request_id",
        "attempt",
        "outcome",
    ],
    events: &[],
};

/// All of them, from the client inwards.
pub const ALL: &[SpanKind] = &[EDGE_SOCKET, PIPELINE_CALL, DISPATCH_NATS, WORKER_CALL];
