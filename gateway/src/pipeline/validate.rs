//! Stage 6: are the args what the function takes? All faults at once; defaults filled in.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::argument::{self, CheckedArgs, Fault};
use sluice_protocol::function::FunctionSpec;
use sluice_protocol::payload::{Encoding, Payload};
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{ApiVersion, CallError, ErrorCode, Identity, RequestId};

use tokio::time::Instant;

use super::HttpRequest;
use super::limit::Limited;
use super::resolve::Resolved;
use crate::diagnostics::trace::Traced;
use crate::registry::callers::Caller;
use crate::registry::snapshot::{Function, Snapshot, Variant};

/// A call that passed every stage: the only thing that dispatch takes.
#[derive(Debug)]
pub struct Ready {
    call: Resolved,
    args: Payload,
    deadline: Instant,
    frame_timeout: Duration,
}

/// Checks the args and fills in defaults.
pub(super) fn validate(call: Limited) -> Result<Ready, CallError> {
    let call = call.into_resolved();
    let deadline = call.deadline();
    ready(call, deadline)
}

/// Checks the args of a call to a hook or permission callback, which has to answer by `deadline`.
/// Those have no other stages to pass.
pub(super) fn validate_callback(call: Resolved, deadline: Instant) -> Result<Ready, CallError> {
    let deadline = call.deadline().min(deadline);
    ready(call, deadline)
}

/// Whether the args are one object, before anybody looks into them.
pub(super) fn well_formed(call: &Resolved) -> Result<(), CallError> {
    argument::check(None, call.call.args.clone())
        .map(|_| ())
        .map_err(|faults| invalid(call.spec(), &faults))
}

fn ready(mut call: Resolved, deadline: Instant) -> Result<Ready, CallError> {
    let args = std::mem::replace(&mut call.call.args, sluice_protocol::request::no_args());
    let args = checked(&call, args)?;
    let frame_timeout = call.frame_timeout();
    Ok(Ready {
        call,
        args,
        deadline,
        frame_timeout,
    })
}

/// The args as workers get them.
pub(super) fn checked(call: &Resolved, args: Payload) -> Result<Payload, CallError> {
    // Args that the worker translates are checked there, in the shape that they get there.
    let types = match call.translated_by_worker() {
        Some(_) => None,
        None => call.spec().arg_types.as_ref(),
    };
    let args = argument::check(types, args)
        .map(CheckedArgs::into_payload)
        .map_err(|faults| invalid(call.spec(), &faults))?;
    for_workers(call, args)
}

pub(super) fn invalid(spec: &FunctionSpec, faults: &[Fault]) -> CallError {
    let list: Vec<String> = faults.iter().map(Fault::to_string).collect();
    let text = format!(
        "the args of {} are not valid: {}",
        spec.label(),
        list.join("; ")
    );
    let faults = serde_json::to_value(faults).unwrap_or_default();
    CallError::new(ErrorCode::InvalidArguments, text).with_detail("faults", faults)
}

/// Args in an encoding that every worker of the call takes.
fn for_workers(call: &Resolved, args: Payload) -> Result<Payload, CallError> {
    let variant = call.variant();
    let everybody = || variant.fixed_subject.is_none() && variant.instances.all_take_message_pack();
    // Beside an HTTP request args are always JSON.
    if args.encoding == Encoding::Json || call.call.http.is_none() && everybody() {
        return Ok(args);
    }
    args.transcode(Encoding::Json).map_err(|e| {
        let text = format!(
            "{} takes JSON only, and the args cannot be said in it: {e}",
            call.spec().label()
        );
        CallError::new(ErrorCode::InvalidArguments, text)
    })
}

impl Ready {
    /// Looks at the registry again, for another attempt: who serves the same config now.
    pub(crate) fn refresh(&mut self, snapshot: &Snapshot) {
        self.call.refresh(snapshot);
    }

    /// The function's spec, as the picked config has it.
    #[must_use]
    pub fn spec(&self) -> &FunctionSpec {
        self.call.spec()
    }

    /// The client's version, where the worker translates.
    #[must_use]
    pub fn translated_by_worker(&self) -> Option<&ApiVersion> {
        self.call.translated_by_worker()
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> &Arc<Function> {
        &self.call.function
    }

    /// The config that serves this call.
    #[must_use]
    pub fn variant(&self) -> &Variant {
        self.call.variant()
    }

    /// The args, checked.
    #[must_use]
    pub fn args(&self) -> &Payload {
        &self.args
    }

    /// The encoding of args and results on the way to the worker.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.args.encoding
    }

    /// The request itself, of a call to a resource.
    #[must_use]
    pub fn http(&self) -> Option<&HttpRequest> {
        self.call.call.http.as_deref()
    }

    /// Whether running it twice does no harm: by its function, or by its method.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.spec().idempotent || self.http().is_some_and(HttpRequest::is_idempotent)
    }

    /// Counts its caller, on a shard.
    pub(super) fn count_caller(&self, shard: usize) {
        let call = &self.call.call;
        let caller = match (&call.caller.api_key, &call.identity.user_id) {
            (Some(name), _) => Caller::ApiKey(name),
            (None, Some(id)) => Caller::User(id),
            (None, None) => Caller::Anonymous,
        };
        let callers = &self.call.function.callers;
        callers.count(shard, caller, self.call.started);
    }

    /// The client's id of the request.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.call.call.request_id
    }

    /// For whom.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.call.call.identity
    }

    /// The trace that it belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.call.call.trace.as_ref()
    }

    /// Where a live trace wants to hear of it.
    pub(crate) fn traced(&self) -> Option<&Traced> {
        self.call.call.caller.traced.as_deref()
    }

    /// When its time began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.call.started
    }

    /// When its time is up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Until when the first thing has to be heard of it.
    #[must_use]
    pub fn first_by(&self) -> Instant {
        self.deadline.min(self.call.first_by())
    }

    /// How long each answer may take as the function says, whatever its client wants.
    #[must_use]
    pub fn own_timeout(&self) -> Duration {
        self.call.own_timeout()
    }

    /// How long each answer of a stream may take.
    #[must_use]
    pub fn frame_timeout(&self) -> Duration {
        self.frame_timeout
    }
}
