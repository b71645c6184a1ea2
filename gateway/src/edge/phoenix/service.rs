//! What the edge needs of the rest of the gateway: something that answers calls.

use std::future::Future;
use std::sync::Arc;

use sluice_protocol::CallError;

use crate::pipeline::Call;
use crate::reply::Reply;
use crate::telemetry::Recorder;

/// Answers calls: the pipeline, or a script in tests.
pub trait CallService: Clone + Send + Sync + 'static {
    /// Takes one call, boxed, as it goes through many hands. Dropping the future, or the answers
    /// that it yields, cancels the call.
    fn call(&self, call: Box<Call>) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// What sockets count with.
    fn recorder(&self) -> Option<Arc<Recorder>> {
        None
    }

    /// Whether any version is on its way out, so that answers may have to say so.
    fn has_notices(&self) -> bool {
        false
    }
}
