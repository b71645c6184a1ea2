//! Stages 2 and 4: may this caller do this? Fail-closed, and the same answer for every reason.
//!
//! A rule that reads no args is checked before the before hook, so that strangers cost nothing; one
//! that does is checked on the args that the hook leaves behind.

use sluice_protocol::{CallError, ErrorCode, ErrorSource};

use super::hooks::{Hooks, Permits};
use super::resolve::Resolved;
use super::translate::Translated;

/// A call whose caller passed what can be decided without its args.
#[derive(Debug)]
pub(super) struct Admitted(Resolved);

/// A call that its caller may make.
#[derive(Debug)]
pub(super) struct Permitted(Resolved);

impl Admitted {
    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }

    pub(super) fn as_resolved(&self) -> &Resolved {
        &self.0
    }

    pub(super) fn resolved(&mut self) -> &mut Resolved {
        &mut self.0
    }
}

impl Permitted {
    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Checks rules that read no args.
pub(super) fn admit(call: Resolved) -> Result<Admitted, CallError> {
    admits(&call).map(|()| Admitted(call))
}

/// Whether the rules that read no args let the caller in.
pub(super) fn admits(call: &Resolved) -> Result<(), CallError> {
    let spec = call.spec();
    let later = spec.permission_callback.is_some() || spec.check_permission.reads_args();
    if later || spec.check_permission.allows(&call.call.identity, None) {
        return Ok(());
    }
    Err(denied(call))
}

/// Checks the rest: the permission callback where there is one, which decides instead of any other
/// rule, else a rule that reads an arg.
pub(super) async fn authorize(hooks: &Hooks, call: Translated) -> Result<Permitted, CallError> {
    let call = call.into_resolved();
    if call.translated_by_worker().is_some() {
        // It asks on the args that it gets there; what needs no args was checked by `admit`.
        return Ok(Permitted(call));
    }
    let spec = call.spec();
    let answer = match &spec.permission_callback {
        Some(callback) => Box::pin(hooks.permits(&call, callback)).await,
        None => return permits(&call).map(|()| Permitted(call)),
    };
    match answer {
        Permits::Yes => Ok(Permitted(call)),
        Permits::No => Err(denied(&call)),
        // Denied all the same, but the client has no part in it.
        Permits::Unknown => Err(denied(&call).with_source(ErrorSource::Gateway)),
    }
}

/// Whether the function's own rule lets the caller in, args included.
pub(super) fn permits(call: &Resolved) -> Result<(), CallError> {
    let spec = call.spec();
    let (orders, identity) = (spec.arg_orders.as_ref(), &call.call.identity);
    let allowed = spec
        .check_permission
        .permits(orders, identity, &call.call.args);
    if allowed { Ok(()) } else { Err(denied(call)) }
}

fn denied(call: &Resolved) -> CallError {
    let text = format!("you may not call {}", call.spec().label());
    CallError::new(ErrorCode::PermissionDenied, text)
}
