//! What the edge needs of the rest of the gateway: something that answers calls.

use std::future::Future;
use std::sync::Arc;

use sluice_protocol::{CallError, FunctionSpec};

use crate::pipeline::Call;
use crate::reply::Reply;
use crate::shard::Shard;

/// Answers calls: a shard's pipeline, or a script in tests.
pub trait CallService: Send + Sync + 'static {
    /// Takes one call. Dropping the future, or the answers that it yields, cancels the call.
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// What is known of a function now; `None` if a call would not find it. Only a hint for
    /// reading a request: whether it may be called, and with what, is for [`Self::call`] to say.
    fn function(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Option<Arc<FunctionSpec>>;

    /// Whether calls may be limited, so that answers tell what is left.
    fn has_limits(&self) -> bool {
        false
    }
}

impl CallService for Shard {
    fn has_limits(&self) -> bool {
        self.pipeline.has_limits()
    }

    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, CallError>> + Send {
        self.pipeline.run(call)
    }

    fn function(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Option<Arc<FunctionSpec>> {
        let snapshot = self.pipeline.registry().snapshot();
        let function = snapshot.resolve(service, request_type, version).ok()?;
        // Configs of one function differ during a deploy only; the pipeline checks with the one
        // that it picks.
        let variant = function.variants.first()?;
        let spec = match &variant.translation {
            Some(translation) => &translation.seen,
            None => &variant.spec,
        };
        (!spec.internal).then(|| spec.clone())
    }
}
