//! Answers on their way down to the client's version: results, items, bodies of resources, errors.

use std::sync::Arc;

use serde_json::Value;
use sluice_protocol::change::text_before;
use sluice_protocol::payload::Payload;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, Encoding, ErrorCode, Executed};

use super::lines::Pieces;
use super::{Names, resource};
use crate::pipeline::resolve::Resolved;
use crate::registry::snapshot::Translation;
use crate::reply::Reply;

/// What brings answers down to the client's version.
#[derive(Debug)]
pub(in crate::pipeline) struct Down {
    translation: Arc<Translation>,
    function: Names,
}

impl Down {
    /// Where answers of this call are for an older version.
    pub(in crate::pipeline) fn of(call: &Resolved) -> Option<Self> {
        let translation = call.variant().translation.as_ref()?;
        Some(Self {
            translation: translation.clone(),
            function: Names::of(call),
        })
    }

    /// Translates what came of the call; streams item by item.
    pub(in crate::pipeline) fn finish(
        self,
        outcome: Result<Reply, CallError>,
    ) -> Result<Reply, CallError> {
        match outcome {
            Ok(Reply::Result(result)) => Ok(Reply::Result(self.result(result))),
            Ok(reply) => {
                let mut pieces = Pieces::default();
                Ok(reply.changed_by(move |answer| self.answer(answer, &mut pieces)))
            }
            Err(error) => Err(self.error(error)),
        }
    }

    fn answer(&self, answer: Answer, pieces: &mut Pieces) -> Answer {
        match answer {
            Answer::Result(result) => Answer::Result(self.result(result)),
            Answer::Item { payload, last } if payload.encoding == Encoding::Http => {
                self.piece(payload, last, pieces)
            }
            Answer::Item { payload, last } => Answer::Item {
                payload: self.result(payload),
                last,
            },
            Answer::Error(error) => Answer::Error(Box::new(self.error(*error))),
            // What was held back of a body goes out with its end.
            Answer::StreamEnd if pieces.hold_something() => {
                self.piece(resource::chunk(b""), true, pieces)
            }
            other @ (Answer::AsyncAck | Answer::StreamAck | Answer::StreamEnd) => other,
        }
    }

    /// A piece of a resource's body; the first has the head.
    fn piece(&self, payload: Payload, last: bool, pieces: &mut Pieces) -> Answer {
        // Nothing that would be asked comes down, so heads need no mark either.
        if !self.translates() {
            return Answer::Item { payload, last };
        }
        match pieces.down(&self.translation.chain, payload, last) {
            Ok(payload) => Answer::Item { payload, last },
            Err(why) => {
                let text = format!("a response of {} {why}", self.function.before);
                tracing::warn!(
                    function = self.function.before,
                    error = text,
                    "a piece of a stream could not be translated down"
                );
                let error = CallError::new(ErrorCode::WorkerError, text);
                Answer::Error(Box::new(error.with_executed(Executed::Yes, false)))
            }
        }
    }

    /// What the worker translates up it translates down.
    fn translates(&self) -> bool {
        let chain = &self.translation.chain;
        !chain.has_code() && !chain.is_identity()
    }

    /// What cannot be translated goes on as it is: the call ran, and its client may make something
    /// of it.
    fn result(&self, result: Payload) -> Payload {
        let chain = &self.translation.chain;
        if !self.translates() {
            return result;
        }
        let translated = match result.encoding {
            Encoding::Http => resource::down(chain, result.clone()),
            _ if !chain.changes_responses() => return result,
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

    /// An error with the client's names for the function and, where changes renamed them, its
    /// fields.
    fn error(&self, mut error: CallError) -> CallError {
        let names = &self.function;
        error.message = error.message.replace(&names.today, &names.before);
        if !self.translates() {
            return error;
        }
        let Some(details) = error.details.take() else {
            return error;
        };
        let mut details = Value::Object(*details);
        let reworded = self.translation.chain.faults_before(&mut details);
        error.message = text_before(&error.message, &reworded);
        if let Value::Object(map) = details {
            error.details = Some(Box::new(map));
        }
        error
    }
}
