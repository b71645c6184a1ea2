//! Stage 5: has this caller a call left? All limits that apply, in one round trip.

use sluice_protocol::CallError;

use super::authorize::Permitted;
use super::resolve::Resolved;
use crate::limiter::{Asking, Limiter};

/// A call that its limits admit, and that they have counted.
#[derive(Debug)]
pub(super) struct Limited(Resolved);

impl Limited {
    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Checks and counts the call; what is refused is counted nowhere.
pub(super) async fn limit(limiter: &Limiter, call: Permitted) -> Result<Limited, CallError> {
    let call = call.into_resolved();
    if !limiter.has_rules() {
        return Ok(Limited(call));
    }
    let asked = &call.call;
    let asking = Asking {
        service: asked.service.as_str(),
        function: asked.request_type.as_str(),
        identity: &asked.identity,
        caller: &asked.caller,
        args: &asked.args,
    };
    match limiter.admit(&asking).await {
        Ok(_quota) => Ok(Limited(call)),
        Err(refusal) => Err(refusal.into_error(&call.spec().label())),
    }
}
