//! Stage 3: the before hook. It may change the args or refuse, and nothing else.

use sluice_protocol::function::FunctionSpec;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Payload};

use super::answer::{Before, is_no, read_before};
use super::{Hooks, NoQuestion, hook_deadline, name, question};
use crate::hooks::Phase;
use crate::pipeline::authorize::Admitted;
use crate::pipeline::resolve::Resolved;
use crate::pipeline::validate;
use crate::telemetry::names::Series;

/// A call that its before hook, if it has one, lets go on.
#[derive(Debug)]
pub(in crate::pipeline) struct Hooked(Resolved);

impl Hooked {
    pub(in crate::pipeline) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Asks the before hook, where the function has one.
pub(in crate::pipeline) async fn before(
    hooks: &Hooks,
    call: Admitted,
) -> Result<Hooked, CallError> {
    let call = call.into_resolved();
    if call.spec().before_execute.is_none() {
        return Ok(Hooked(call));
    }
    // Boxed: calls without a hook do not carry its state around.
    Box::pin(ask(hooks, call)).await
}

async fn ask(hooks: &Hooks, mut call: Resolved) -> Result<Hooked, CallError> {
    // What is no object could say anything once it stands inside of the question; say what is
    // wrong with it, as for any other function.
    validate::well_formed(&call)?;
    let spec = call.spec();
    let Some(callback) = &spec.before_execute else {
        return Ok(Hooked(call));
    };
    let question =
        question(&call, Phase::Before, callback).map_err(|why| no_question(spec, &why))?;
    let encoding = call.call.args.encoding;
    let deadline = hook_deadline(spec, call.first_by());
    let trace = call.call.trace.clone();
    let answer = match hooks.ask(callback, question, trace, deadline).await {
        Ok(answer) => answer,
        Err(error) => {
            hooks.inc(Series::HookBeforeRefused);
            tracing::debug!(function = spec.label(), hook = %name(callback), %error, "before hook refused or failed");
            return Err(refused(spec, error));
        }
    };
    let read = read_before(&answer);
    hooks.inc(match &read {
        Some(_) => Series::HookBeforeOk,
        None => Series::HookBeforeRefused,
    });
    match read {
        Some(Before::Allow) => Ok(Hooked(call)),
        Some(Before::Args(args)) => {
            let args = args.transcode(encoding).map_err(|_| odd(spec, &answer))?;
            call.call.args = args;
            Ok(Hooked(call))
        }
        None => {
            tracing::warn!(function = spec.label(), hook = %name(callback), "before hook answered something that is no answer: refused");
            Err(odd(spec, &answer))
        }
    }
}

/// What is no leave to go on: a plain no, or an answer that the client has no part in.
fn odd(spec: &FunctionSpec, answer: &Payload) -> CallError {
    let text = format!(
        "the before hook of {} did not allow the call; it did not run",
        spec.label()
    );
    let error = CallError::new(ErrorCode::HookRejected, text);
    if is_no(answer) {
        return error;
    }
    error.with_source(ErrorSource::Gateway)
}

fn no_question(spec: &FunctionSpec, why: &NoQuestion) -> CallError {
    let why = match why {
        NoQuestion::Malformed => "are not one object",
        NoQuestion::NoJson => "cannot be said in JSON, which its before hook takes",
        NoQuestion::Ambiguous(key) => key,
    };
    let text = format!(
        "the args of {} are not valid: {why}; it did not run",
        spec.label()
    );
    CallError::new(ErrorCode::InvalidArguments, text)
}

/// What the hook said is told; why it could not be asked is nobody's business but the log's.
fn refused(spec: &FunctionSpec, error: CallError) -> CallError {
    let function = spec.label();
    if !is_its_own(&error) {
        let text = format!("the before hook of {function} could not be asked, so it did not run");
        // No client must come to be refused for what befell a hook.
        let mut rejected =
            CallError::new(ErrorCode::HookRejected, text).with_source(ErrorSource::Gateway);
        rejected.can_retry = error.code.is_transient();
        return rejected;
    }
    let text = format!("the before hook of {function} refused: {}", error.message);
    let mut rejected = CallError::new(ErrorCode::HookRejected, text)
        .with_detail("reason", error.code_text().to_owned());
    if let Some(details) = error.details {
        rejected = rejected.with_detail("hook", *details);
    }
    rejected.can_retry = error.can_retry;
    // Its code for whatever broke in it; a hook that refuses says why.
    if error.code == ErrorCode::WorkerError && error.custom_code.is_none() {
        rejected = rejected.with_source(ErrorSource::Gateway);
    }
    rejected
}

/// Whether the hook's function itself said so: of errors that gateways and SDKs make, too, only
/// those that nobody else makes of a callback.
fn is_its_own(error: &CallError) -> bool {
    let own = [
        ErrorCode::WorkerError,
        ErrorCode::HookRejected,
        ErrorCode::PermissionDenied,
        ErrorCode::Unauthenticated,
        ErrorCode::RateLimited,
        ErrorCode::InvalidRequest,
    ];
    error.custom_code.is_some() || own.contains(&error.code)
}
