//! Chains with changes in code: requests pass them here, and then the checks that the gateway could
//! not make.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use sluice_protocol::change::{Chain, Step, TranslateError, faults_before, text_before};
use sluice_protocol::function::{FunctionSpec, ServiceConfig};
use sluice_protocol::{ErrorCode, Executed, Identity, Payload, argument};

use super::{Change, Finished};
use crate::codec::{decode_args, encode};
use crate::error::Error;

/// By the version that clients name: the way of one function up to today.
pub(crate) type Chains = HashMap<String, Arc<Translation>>;

/// One way.
pub(crate) struct Translation {
    chain: Chain,
    steps: Vec<(Step, Option<Arc<dyn Change>>)>,
    /// The function as it is called today, for people.
    today: String,
    /// The same in the client's version.
    before: String,
}

/// The chains that run here, for each function of `config` in its order.
pub(crate) fn chains(config: &ServiceConfig, finished: &Finished) -> Vec<Chains> {
    let mut all: Vec<Chains> = config.functions.iter().map(|_| Chains::new()).collect();
    for translated in config.translated() {
        let chain = translated.chain;
        if !chain.has_code() {
            continue;
        }
        let step = |step: &Step| {
            let code = finished.code.get(&step.name).filter(|_| step.code);
            (step.clone(), code.cloned())
        };
        let steps = chain.steps().iter().map(step).collect();
        let version = translated.version.to_string();
        let spec = &config.functions[translated.function];
        let translation = Translation {
            today: spec.label(),
            before: format!("{}.{}@{version}", spec.service, spec.request_type),
            chain,
            steps,
        };
        all[translated.function].insert(version, Arc::new(translation));
    }
    all
}

impl Translation {
    /// Args of the client's version in today's shape, checked as the gateway checks all others.
    pub(crate) fn request(
        &self,
        spec: &FunctionSpec,
        identity: &Identity,
        args: Payload,
    ) -> Result<Payload, Error> {
        let args = self.up(args)?;
        if !spec
            .check_permission
            .permits(spec.arg_orders.as_ref(), identity, &args)
        {
            let text = format!("you may not call {}", self.before);
            return Err(Error::of(ErrorCode::PermissionDenied, text));
        }
        match argument::check(spec.arg_types.as_ref(), args) {
            Ok(checked) => Ok(checked.into_payload()),
            Err(faults) => {
                let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let text = format!(
                    "the args of {} are not valid: {}",
                    self.today,
                    list.join("; ")
                );
                let error = Error::of(ErrorCode::InvalidArguments, text);
                Err(self.error(error.details(json!({ "faults": faults }))))
            }
        }
    }

    fn up(&self, args: Payload) -> Result<Payload, Error> {
        let mut args = args;
        for (step, code) in &self.steps {
            args = match code {
                None => step.request(&args).map_err(|e| self.refused(&e))?,
                Some(code) => {
                    let encoding = args.encoding;
                    let value = code.request(decode_args(&args)?);
                    let value = value.map_err(|error| error.executed(Executed::No))?;
                    encode(&value, encoding)?
                }
            };
        }
        Ok(args)
    }

    /// A result or an item of today's shape, as the client's version has it. What declared changes
    /// cannot read passes as it is.
    pub(crate) fn response(&self, result: Payload) -> Result<Payload, Error> {
        let mut result = result;
        for (step, code) in self.steps.iter().rev() {
            result = match code {
                None => step.response(&result).unwrap_or(result),
                Some(code) => {
                    let encoding = result.encoding;
                    let value = code.response(crate::codec::decode_result(&result)?)?;
                    encode(&value, encoding)?
                }
            };
        }
        Ok(result)
    }

    /// An error in the client's words: its faults stand where the client wrote what they are
    /// about, and its text names the version that the client called.
    pub(crate) fn error(&self, error: Error) -> Error {
        error.reworded(|text, details| {
            *text = text.replace(&self.today, &self.before);
            if let Some(details) = details {
                let faults = faults_before(details, |place| self.place(place));
                *text = text_before(text, &faults);
            }
        })
    }

    fn place(&self, place: &str) -> String {
        if self.steps.iter().all(|(_, code)| code.is_none()) {
            return self.chain.place_before(place);
        }
        let newest_first = self.steps.iter().rev();
        newest_first.fold(place.to_owned(), |place, (step, code)| match code {
            None => step.place_before(&place),
            Some(code) => code.place(&place),
        })
    }

    fn refused(&self, error: &TranslateError) -> Error {
        let code = match error {
            TranslateError::TooLarge(_) => ErrorCode::PayloadTooLarge,
            TranslateError::Malformed(_) | TranslateError::Refused(_) => {
                ErrorCode::InvalidArguments
            }
        };
        let label = &self.before;
        Error::of(code, format!("the args of {label} are not valid: {error}"))
    }
}

impl std::fmt::Debug for Translation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Translation").field(&self.chain).finish()
    }
}
