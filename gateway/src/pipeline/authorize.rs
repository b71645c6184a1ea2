//! Stage 2: may this caller do this? Fail-closed, and the same answer for every reason.

use sluice_protocol::argument::{ArgValue, top_level};
use sluice_protocol::permission::Permission;
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
    let identity = &call.call.identity;
    let allowed = match &spec.check_permission {
        Permission::Arg(name) => match top_level(&call.call.args, name) {
            Some(ArgValue::Str(value)) => spec.check_permission.allows(identity, Some(&value)),
            // Absent, no string, or there twice: nothing to be equal to.
            _ => false,
        },
        rule => rule.allows(identity, None),
    };
    if allowed {
        return Ok(Permitted(call));
    }
    let text = format!("you may not call {}", spec.label());
    Err(CallError::new(ErrorCode::PermissionDenied, text))
}
