//! What the edge needs of the rest of the gateway: something that answers calls.

use std::future::Future;
use std::sync::Arc;

use sluice_protocol::{CallError, FunctionSpec};

use crate::pipeline::Call;
use crate::registry::routes::Lookup;
use crate::registry::wanted::Wanted;
use crate::reply::Reply;
use crate::shard::Shard;
use crate::telemetry::Recorder;

/// Answers calls: a shard's pipeline, or a script in tests.
pub trait CallService: Send + Sync + 'static {
    /// Takes one call, boxed, as it goes through many hands. Dropping the future, or the answers
    /// that it yields, cancels the call.
    fn call(&self, call: Box<Call>) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// What is known now of the function that a call would get; `None` if it would find none. Only
    /// a hint for reading a request: whether it may be called, and with what, is for
    /// [`Self::call`] to say.
    fn function(
        &self,
        service: &str,
        request_type: &str,
        wanted: Wanted<'_>,
    ) -> Option<Arc<FunctionSpec>>;

    /// Whose route a request takes.
    fn route(&self, _method: &str, _path: &str, _wanted: Wanted<'_>) -> Lookup {
        Lookup::Nothing
    }

    /// Whether callers may have versions pinned, so that a route depends on who asks.
    fn has_pins(&self) -> bool {
        false
    }

    /// What the edge counts with, if anything.
    fn recorder(&self) -> Option<&Recorder> {
        None
    }

    /// Whether calls may be limited, so that answers tell what is left.
    fn has_limits(&self) -> bool {
        false
    }

    /// Whether any version is on its way out, so that answers may have to say so.
    fn has_notices(&self) -> bool {
        false
    }
}

impl CallService for Shard {
    fn route(&self, method: &str, path: &str, wanted: Wanted<'_>) -> Lookup {
        let wanted = self.pipeline.wanted(wanted);
        let snapshot = self.pipeline.registry().snapshot();
        snapshot.route(method, path, &wanted)
    }

    fn has_pins(&self) -> bool {
        !self.pipeline.registry().snapshot().pins.is_empty()
    }

    fn recorder(&self) -> Option<&Recorder> {
        Some(&self.recorder)
    }

    fn has_limits(&self) -> bool {
        self.pipeline.has_limits()
    }

    fn has_notices(&self) -> bool {
        self.pipeline.has_notices()
    }

    fn call(&self, call: Box<Call>) -> impl Future<Output = Result<Reply, CallError>> + Send {
        self.pipeline.run(call)
    }

    fn function(
        &self,
        service: &str,
        request_type: &str,
        wanted: Wanted<'_>,
    ) -> Option<Arc<FunctionSpec>> {
        let wanted = self.pipeline.wanted(wanted);
        let snapshot = self.pipeline.registry().snapshot();
        let function = snapshot.resolve_wanted(service, request_type, &wanted);
        let spec = function.ok()?.seen()?;
        (!spec.internal).then(|| spec.clone())
    }
}
