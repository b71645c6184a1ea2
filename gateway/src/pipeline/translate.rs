//! Versions in between: a request climbs to the shape that is served today, its answers come down.

mod resource;

pub(crate) use self::resource::each_tag;

use std::sync::Arc;

use serde_json::Value;
use sluice_protocol::change::{Chain, TranslateError};
use sluice_protocol::function::ResponseType;
use sluice_protocol::payload::Payload;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, Encoding, ErrorCode, argument};

use super::authorize::Admitted;
use super::hooks::Hooked;
use super::resolve::Resolved;
use super::validate;
use crate::registry::snapshot::Translation;
use crate::reply::Reply;

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
        if !call.variant().instances.iter().all(|i| i.pending) {
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
    let whole = call.spec().response_type == ResponseType::Sync;
    let call = &mut call.call;
    match &call.http {
        None => call.args = chain.request(&call.args)?,
        Some(request) => {
            let (params, request) = resource::up(chain, &call.args, request, whole)?;
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
        TranslateError::TooLarge => ErrorCode::PayloadTooLarge,
        TranslateError::Malformed(_) | TranslateError::Refused(_) => ErrorCode::InvalidArguments,
    };
    CallError::new(code, text)
}

/// What brings answers down to the client's version.
#[derive(Debug)]
pub(super) struct Down {
    translation: Arc<Translation>,
    function: Names,
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

impl Down {
    /// Where answers of this call are translated here.
    pub(super) fn of(call: &Resolved) -> Option<Self> {
        let translation = call.variant().translation.as_ref()?;
        // What the worker translates up it translates down.
        if translation.chain.has_code() {
            return None;
        }
        Some(Self {
            translation: translation.clone(),
            function: Names::of(call),
        })
    }

    /// Translates what came of the call; streams item by item.
    pub(super) fn finish(self, outcome: Result<Reply, CallError>) -> Result<Reply, CallError> {
        match outcome {
            Ok(Reply::Result(result)) => Ok(Reply::Result(self.result(result))),
            Ok(reply) => Ok(reply.changed_by(move |answer| self.answer(answer))),
            Err(error) => Err(self.error(error)),
        }
    }

    fn answer(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Result(result) => Answer::Result(self.result(result)),
            // Pieces of a body are no values.
            item @ Answer::Item { .. } if is_piece(&item) => item,
            Answer::Item { payload, last } => Answer::Item {
                payload: self.result(payload),
                last,
            },
            Answer::Error(error) => Answer::Error(Box::new(self.error(*error))),
            other @ (Answer::AsyncAck | Answer::StreamAck | Answer::StreamEnd) => other,
        }
    }

    /// What cannot be translated goes on as it is: the call ran, and its client may make something
    /// of it.
    fn result(&self, result: Payload) -> Payload {
        let chain = &self.translation.chain;
        if !chain.changes_responses() {
            return result;
        }
        let translated = match result.encoding {
            Encoding::Http => resource::down(chain, result.clone()),
            Encoding::Json | Encoding::MessagePack => chain.response(&result),
        };
        match translated {
            Ok(translated) => translated,
            Err(error) => {
                tracing::warn!(
                    function = self.function.before,
                    %error,
                    "a result could not be translated down and goes out in today's shape"
                );
                result
            }
        }
    }

    fn error(&self, error: CallError) -> CallError {
        before(error, &self.translation.chain, &self.function)
    }
}

fn is_piece(answer: &Answer) -> bool {
    matches!(answer, Answer::Item { payload, .. } if payload.encoding == Encoding::Http)
}

/// An error with the client's names for the function and, where changes renamed them, its fields.
fn before(mut error: CallError, chain: &Chain, names: &Names) -> CallError {
    error.message = error.message.replace(&names.today, &names.before);
    let Some(details) = error.details.take() else {
        return error;
    };
    let mut details = Value::Object(*details);
    let said = |details: &Value| -> Vec<String> {
        let faults = details["faults"].as_array().into_iter().flatten();
        let text = |fault: &Value| {
            format!(
                "{}: {}",
                fault["path"].as_str().unwrap_or_default(),
                fault["message"].as_str().unwrap_or_default()
            )
        };
        faults.map(text).collect()
    };
    let today = said(&details);
    chain.faults_before(&mut details);
    for (today, before) in today.iter().zip(said(&details)) {
        error.message = error.message.replacen(today.as_str(), &before, 1);
    }
    if let Value::Object(map) = details {
        error.details = Some(Box::new(map));
    }
    error
}

/// The function's name as the client knows it, in an error about the client's own shape.
fn in_its_version(mut error: CallError, call: &Resolved) -> CallError {
    let names = Names::of(call);
    error.message = error.message.replace(&names.today, &names.before);
    error
}
