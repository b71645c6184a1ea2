//! What a live trace hears of a call's attempts.

use std::time::Duration;

use serde_json::json;

use super::{Exchange, Progress};
use crate::dispatch::retry::{Failure, Step};
use crate::dispatch::select::Target;

impl Exchange {
    pub(super) fn tell_attempt(&self, target: &Target) {
        let Some(traced) = self.call.traced() else {
            return;
        };
        let to = match target {
            Target::Group => "any worker (the broker picks)".to_owned(),
            Target::Instance(instance) => instance.id.to_string(),
            Target::Fixed(subject) => subject.clone(),
        };
        traced.say("attempt", json!({ "attempt": self.attempts, "to": to }));
    }

    pub(super) fn tell_failure(&self, failure: &Failure, step: &Step, wait: Duration) {
        let Some(traced) = self.call.traced() else {
            return;
        };
        let holder = self.attempt.as_ref().and_then(|a| a.tried());
        let next = match step {
            Step::Retry => format!("again in {} ms", wait.as_millis()),
            Step::Elsewhere => "elsewhere at once".to_owned(),
            Step::GiveUp => "given up".to_owned(),
        };
        let error = failure.clone().into_error(self.call.spec(), 1);
        traced.say(
            "attempt failed",
            json!({
                "attempt": self.attempts,
                "instance": holder.map(ToString::to_string),
                "failure": failure.name(),
                "error_code": error.code_text(),
                "error": error.message,
                "next": next,
            }),
        );
    }

    pub(super) fn tell_progress(&self, progress: &Progress) {
        let Some(traced) = self.call.traced() else {
            return;
        };
        let detail = match progress {
            Progress::Accepted => json!({ "progress": "accepted" }),
            Progress::Item { payload, .. } => {
                json!({ "progress": "item", "item": self.items, "bytes": payload.bytes.len() })
            }
            Progress::End => json!({ "progress": "end", "items": self.items }),
            Progress::Result(payload) => {
                json!({ "progress": "result", "bytes": payload.bytes.len() })
            }
        };
        traced.say("worker", detail);
    }
}
