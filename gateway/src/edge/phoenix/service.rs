//! What the edge needs of the rest of the gateway: something that answers calls.

use std::future::Future;

use sluice_protocol::CallError;

use crate::pipeline::Call;
use crate::reply::Reply;

/// Answers calls: the pipeline, or a script in tests.
pub trait CallService: Clone + Send + Sync + 'static {
    /// Takes one call. Dropping the future, or the answers that it yields, cancels the call.
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// Whether any version is on its way out, so that answers may have to say so.
    fn has_notices(&self) -> bool {
        false
    }
}
