//! What a visit decided: names and answers only, nothing of the request.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Action, Decision, Handler};

/// The longest header value that a trace becomes, in bytes.
pub const MOST_HEADER_BYTES: usize = 2048;

/// Entries that are kept; a walk is shorter.
const MOST_ENTRIES: usize = 512;

/// The header that a response has if its resource traces.
pub const TRACE_HEADER: &str = "sluice-resource-trace";

/// One step of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A decision, and its answer.
    Decision(Decision, Answer),
    /// A function of a pipeline, and its answer.
    Pipeline(String, Answer),
    /// An action that ran.
    Action(Action),
    /// The handler that answered, and its status.
    Handler(Handler, u16),
}

/// How a decision was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Delegated to the node of this name.
    Go(&'static str),
    /// A response of its own.
    Respond,
    /// An error.
    Failed,
}

impl Answer {
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Go(node) => node,
            Self::Respond => "respond",
            Self::Failed => "error",
        }
    }
}

/// The decisions that a visit took, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(Vec<Step>);

impl Trace {
    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The handler that answered; `None` if a function answered by itself.
    #[must_use]
    pub fn handler(&self) -> Option<Handler> {
        match self.0.last() {
            Some(Step::Handler(handler, _)) => Some(*handler),
            _ => None,
        }
    }

    pub(crate) fn add(&mut self, step: Step) {
        if self.0.len() < MOST_ENTRIES {
            self.0.push(step);
        }
    }

    /// The steps as `exists?=yes, put, handle_created=201`, at most [`MOST_HEADER_BYTES`] long.
    #[must_use]
    pub fn to_header(&self) -> String {
        const MORE: &str = ", ...";
        let mut text = String::new();
        for step in &self.0 {
            let mut entry = String::new();
            let _ = match step {
                Step::Decision(decision, answer) => {
                    write!(entry, "{}={}", decision.name(), answer.name())
                }
                Step::Pipeline(name, answer) => {
                    write!(entry, "{}={}", visible(name), answer.name())
                }
                Step::Action(action) => write!(entry, "{}", action.name()),
                Step::Handler(handler, status) => write!(entry, "{}={status}", handler.name()),
            };
            if text.len() + entry.len() + 2 + MORE.len() > MOST_HEADER_BYTES {
                text.push_str(MORE);
                break;
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&entry);
        }
        text
    }

    /// The steps as a JSON array of objects.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let steps = self.0.iter().map(|step| match step {
            Step::Decision(decision, answer) => {
                json!({ "decision": decision.name(), "answer": answer.name() })
            }
            Step::Pipeline(name, answer) => json!({ "function": name, "answer": answer.name() }),
            Step::Action(action) => json!({ "action": action.name() }),
            Step::Handler(handler, status) => {
                json!({ "handler": handler.name(), "status": status })
            }
        });
        steps.collect()
    }
}

/// A name without what cannot stand in a header.
fn visible(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_graphic() && c != ',' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(keep).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_bounded_and_a_header_value() {
        let mut trace = Trace::default();
        for _ in 0..10_000 {
            trace.add(Step::Pipeline("a\r\nb, ü".repeat(40), Answer::Yes));
        }
        let header = trace.to_header();
        assert!(
            header.len() <= MOST_HEADER_BYTES && header.ends_with(", ..."),
            "{header}"
        );
        assert!(http::HeaderValue::from_str(&header).is_ok());
        assert_eq!(trace.steps().len(), MOST_ENTRIES);
    }
}
