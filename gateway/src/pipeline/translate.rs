//! Versions in between: a request climbs to the shape that is served today, its answers come down.

mod down;
mod lines;
mod resource;

pub(super) use self::down::Down;
pub(crate) use self::resource::each_tag;

use sluice_protocol::change::{Chain, TranslateError};
use sluice_protocol::{CallError, ErrorCode, argument};

use super::authorize::Admitted;
use super::hooks::Hooked;
use super::resolve::Resolved;
use super::validate;

/// A call whose args have the shape that its function takes today, or whose worker sees to that.
#[derive(Debug)]
pub(super) struct Translated(Resolved);

impl Translated {
    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Checks args as the client's version declares them, where it does.
pub(super) fn check(mut call: Admitted) -> Result<Admitted, CallError> {
    declared(call.resolved())?;
    Ok(call)
}

/// Checks and completes args as the client's version declares them, where it does.
pub(super) fn declared(resolved: &mut Resolved) -> Result<(), CallError> {
    let Some(translation) = resolved.variant().translation.clone() else {
        return Ok(());
    };
    if let Some(types) = translation.chain.arg_types() {
        let args = std::mem::replace(&mut resolved.call.args, sluice_protocol::request::no_args());
        let checked = argument::check(Some(types), args).map_err(|faults| {
            let error = validate::invalid(resolved.spec(), &faults);
            in_its_version(error, resolved)
        })?;
        resolved.call.args = checked.into_payload();
    }
    Ok(())
}

/// Translates args to today's shape. Nothing is done to a call of today's version.
pub(super) fn up(call: Hooked) -> Result<Translated, CallError> {
    let mut call = call.into_resolved();
    climb(&mut call)?;
    Ok(Translated(call))
}

/// Brings args to today's shape, where the gateway does that.
pub(super) fn climb(call: &mut Resolved) -> Result<(), CallError> {
    let Some(translation) = call.variant().translation.clone() else {
        return Ok(());
    };
    let chain = &translation.chain;
    if chain.has_code() {
        // Another worker would take the args for today's, and would ask for no permission.
        if !call.variant().instances.all_translate() {
            let text = format!(
                "no worker of {} translates version {}; it did not run",
                call.spec().label(),
                chain.from()
            );
            return Err(CallError::new(ErrorCode::NoWorkers, text));
        }
        return Ok(());
    }
    // What is no object has no fields to translate; say what is wrong with it.
    validate::well_formed(call)?;
    if let Err(error) = through(chain, call) {
        return Err(untranslatable(call, &error));
    }
    Ok(())
}

/// Passes the parts of a call through the changes.
fn through(chain: &Chain, call: &mut Resolved) -> Result<(), TranslateError> {
    let call = &mut call.call;
    match &call.http {
        None => call.args = chain.request(&call.args)?,
        Some(request) => {
            let (params, request) = resource::up(chain, &call.args, request)?;
            call.args = params;
            call.http = Some(request);
        }
    }
    Ok(())
}

fn untranslatable(call: &Resolved, error: &TranslateError) -> CallError {
    let text = format!(
        "the args of {} are not valid: {error}; it did not run",
        call.spec().label()
    );
    let code = match error {
        TranslateError::TooLarge(_) => ErrorCode::PayloadTooLarge,
        TranslateError::Malformed(_) | TranslateError::Refused(_) => ErrorCode::InvalidArguments,
    };
    CallError::new(code, text)
}

/// How the function is called, for people: today and in the client's version.
#[derive(Debug)]
struct Names {
    today: String,
    before: String,
}

impl Names {
    fn of(call: &Resolved) -> Self {
        let spec = call.spec();
        let version = call.function.version.as_ref();
        let before = version.map_or_else(
            || spec.label(),
            |v| format!("{}.{}@{v}", spec.service, spec.request_type),
        );
        Self {
            today: spec.label(),
            before,
        }
    }
}

/// The function's name as the client knows it, in an error about the client's own shape.
fn in_its_version(mut error: CallError, call: &Resolved) -> CallError {
    let names = Names::of(call);
    error.message = error.message.replace(&names.today, &names.before);
    error
}
