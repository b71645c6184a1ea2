//! Stage 2: may this caller do this? Fail-closed, and the same answer for every reason.

use sluice_protocol::{CallError, ErrorCode};

use super::resolve::Resolved;

/// A call that its caller may make.
#[derive(Debug)]
pub(super) struct Permitted(Resolved);

impl Permitted {
    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Checks the function's permission.
pub(super) fn authorize(call: Resolved) -> Result<Permitted, CallError> {
    let spec = call.spec();
    let (orders, identity) = (spec.arg_orders.as_ref(), &call.call.identity);
    let allowed = spec
        .check_permission
        .permits(orders, identity, &call.call.args);
    if allowed {
        return Ok(Permitted(call));
    }
    let text = format!("you may not call {}", spec.label());
    Err(CallError::new(ErrorCode::PermissionDenied, text))
}
