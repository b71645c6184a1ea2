//! The ordered stages that every call passes, from whatever edge it came.

use sluice_protocol::payload::Payload;
use sluice_protocol::{CallError, FunctionName, Identity, RequestId, ServiceName};

use crate::reply::Reply;

/// A call as an edge made it: well-formed, its caller identified, nothing else checked.
#[derive(Debug, Clone)]
pub struct Call {
    /// Echoed in every response.
    pub request_id: RequestId,
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub request_type: FunctionName,
    /// Which version, as the client named it.
    pub version: Option<String>,
    /// The args: said to be an object, not yet parsed.
    pub args: Payload,
    /// For whom.
    pub identity: Identity,
    /// W3C `traceparent`, if the client sent one.
    pub trace: Option<String>,
    /// Milliseconds; may only shorten the function's own timeout.
    pub timeout_ms: Option<u64>,
    /// Whether the edge allows only functions that are idempotent (GET).
    pub idempotent_only: bool,
}

/// Takes calls through all stages. One for each shard.
#[derive(Debug)]
pub struct Pipeline {}

impl Pipeline {
    /// Takes one call through every stage, in order.
    ///
    /// # Errors
    /// Whatever refuses it, or its failure.
    pub async fn run(&self, call: Call) -> Result<Reply, CallError> {
        let _ = call;
        Ok(Reply::Accepted)
    }
}
