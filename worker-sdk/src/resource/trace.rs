//! What a visit decided: names and answers only, nothing of the request.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Action, Decision, Handler, Node};

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

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "yes" => Self::Yes,
            "no" => Self::No,
            "respond" => Self::Respond,
            "error" => Self::Failed,
            name => Self::Go(Node::all().find(|node| node.name() == name)?.name()),
        })
    }

    pub(super) fn name(&self) -> &'static str {
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

    /// Reads what [`Self::to_header`] wrote, with or without the header's name before it. Names of
    /// decisions are taken for those of the graph, and others for functions of a pipeline.
    ///
    /// # Errors
    /// The first entry that is none, and why.
    pub fn from_header(text: &str) -> Result<Self, NoTrace> {
        let text = text.trim();
        let named = text.get(..TRACE_HEADER.len());
        let text = match named.filter(|name| name.eq_ignore_ascii_case(TRACE_HEADER)) {
            Some(name) => text[name.len()..].trim_start_matches(':').trim(),
            None => text,
        };
        let mut trace = Self::default();
        for entry in text.split(',').map(str::trim) {
            // What was too long was left out.
            if entry == "..." {
                break;
            }
            if trace.0.len() == MOST_ENTRIES {
                return Err(NoTrace(format!("it has more than {MOST_ENTRIES} entries")));
            }
            trace.0.push(Step::parse(entry)?);
        }
        Ok(trace)
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

/// A text that is no trace: what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no value of {TRACE_HEADER}: {0}")]
pub struct NoTrace(String);

impl Step {
    fn parse(entry: &str) -> Result<Self, NoTrace> {
        let wrong = |why: &str| {
            let entry: String = entry.chars().take(80).collect();
            NoTrace(format!("{entry:?} {why}"))
        };
        let Some((name, answer)) = entry.split_once('=') else {
            let action = Action::ALL.iter().find(|action| action.name() == entry);
            let action = action.ok_or_else(|| wrong("is neither name=answer nor an action"))?;
            return Ok(Self::Action(*action));
        };
        if let Some(handler) = Handler::ALL.iter().find(|handler| handler.name() == name) {
            let status = answer.parse().ok().filter(|s| (100..=599).contains(s));
            let status = status.ok_or_else(|| wrong("has no status"))?;
            return Ok(Self::Handler(*handler, status));
        }
        let answer = Answer::parse(answer).ok_or_else(|| wrong("has no answer that is known"))?;
        match Decision::all().find(|decision| decision.name() == name) {
            Some(decision) => Ok(Self::Decision(decision, answer)),
            None if name.is_empty() || visible(name) != name => Err(wrong("has no name")),
            None => Ok(Self::Pipeline(name.to_owned(), answer)),
        }
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
    #[test]
    fn what_a_header_says_is_read_again() {
        let node = Node::Handler(Handler::Gone);
        let mut trace = Trace::default();
        for decision in Decision::all() {
            trace.add(Step::Decision(decision, Answer::Yes));
            trace.add(Step::Decision(decision, Answer::Go(node.name())));
        }
        let parts: Vec<Trace> = trace.0.chunks(8).map(|s| Trace(s.to_vec())).collect();
        for part in parts {
            assert_eq!(Trace::from_header(&part.to_header()), Ok(part));
        }
        let mut rest = Trace::default();
        for &action in Action::ALL {
            rest.add(Step::Action(action));
        }
        rest.add(Step::Pipeline("my_plug".to_owned(), Answer::Respond));
        rest.add(Step::Pipeline("other".to_owned(), Answer::Failed));
        rest.add(Step::Handler(Handler::NotFound, 410));
        let header = rest.to_header();
        assert_eq!(Trace::from_header(&header), Ok(rest.clone()));
        let line = format!("Sluice-Resource-Trace: {header}, ...\r\n");
        assert_eq!(Trace::from_header(&line), Ok(rest));
    }

    #[test]
    fn what_is_no_header_is_told() {
        let long = "a=yes,".repeat(MOST_ENTRIES + 1);
        for (text, told) in [
            ("", "neither"),
            ("exists?", "neither"),
            ("exists?=maybe", "no answer"),
            ("handle_ok=none", "no status"),
            ("handle_ok=999", "no status"),
            ("=yes", "no name"),
            ("<b>=yes, a b=no", "no name"),
            (long.as_str(), "more than"),
        ] {
            let error = Trace::from_header(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
