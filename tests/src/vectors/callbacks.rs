//! Hooks and permission callbacks that do what their names say, on a service of their own.

use serde_json::{Value, json};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};

use super::stack::{Asked, Handler, Stack};
use crate::Result;

/// The service of all of them.
pub(super) const SERVICE: &str = "callbacks";

/// What is known as a callback: `None` if nothing here knows the name.
pub(super) struct Callback {
    name: String,
    does: Does,
}

#[derive(Clone)]
enum Does {
    Answer(Value),
    /// Answers whether its first extra argument is this text.
    Equals(&'static str),
    Fail(ErrorCode, &'static str),
    Hang,
}

impl Callback {
    /// A permission callback of this behaviour: the value that it answers, or what it does.
    pub(super) fn permission(behaviour: &str) -> Self {
        let does = match behaviour {
            "raise" | "throw" | "exit" => Does::Fail(ErrorCode::Internal, "it failed"),
            "timeout" | "sleep" => Does::Hang,
            "equals_yes" => Does::Equals("yes"),
            // What it answers; what is no JSON is a text.
            other => Does::Answer(serde_json::from_str(other).unwrap_or_else(|_| other.into())),
        };
        Self::named(behaviour, does)
    }

    /// A before or after hook.
    pub(super) fn hook(name: &str) -> Option<Self> {
        let does = match name {
            "pass" | "ok" | "allow" | "continue" | "record" => Does::Answer(json!({"allow": true})),
            "reject_text" => Does::Fail(ErrorCode::HookRejected, "over quota"),
            "reject_symbol" => Does::Fail(ErrorCode::HookRejected, "quota"),
            "raise" | "throw" | "exit" => Does::Fail(ErrorCode::Internal, "bad"),
            "timeout" | "sleep" => Does::Hang,
            "replace" => Does::Answer(json!({"result": "replaced"})),
            "other" => Does::Answer("something else".into()),
            "false" => Does::Answer(false.into()),
            "null" | "nil" => Does::Answer(Value::Null),
            _ => return None,
        };
        Some(Self::named(name, does))
    }

    fn named(name: &str, does: Does) -> Self {
        Self {
            name: format!("does {name}"),
            does,
        }
    }

    /// How a function names it.
    pub(super) fn target(&self, extra: Option<&Value>) -> Value {
        let mut target = json!({ "service": SERVICE, "function": self.name });
        if let Some(extra) = extra {
            target["extra"] = extra.clone();
        }
        target
    }

    fn registration(&self) -> Value {
        let mut function =
            json!({ "request_type": self.name, "internal": true, "timeout": 20_000 });
        // Who takes no extra arguments does not declare them.
        if !matches!(self.does, Does::Equals(_)) {
            let optional = json!({ "type": "map", "allow_nil": true });
            function["arg_types"] =
                json!({ "phase": "string", "request": "map", "response": optional });
        }
        function
    }

    async fn answer(self, asked: Asked) -> Vec<Frame> {
        let value = match self.does {
            Does::Answer(value) => value,
            Does::Equals(text) => (asked.args["extra"][0] == text).into(),
            Does::Hang => std::future::pending().await,
            Does::Fail(code, text) => {
                let mut error = CallError::new(code, text).with_executed(Executed::Yes, false);
                if code == ErrorCode::HookRejected {
                    error = CallError::new(ErrorCode::WorkerError, text)
                        .with_executed(Executed::Yes, false);
                    error.custom_code = Some("quota".to_owned());
                }
                return vec![Frame::Error {
                    error: Box::new(error),
                    instance: Some("i1".to_owned()),
                }];
            }
        };
        vec![Frame::Result(Payload::json(value.to_string()))]
    }
}

/// Serves these callbacks.
pub(super) async fn serve(stack: &mut Stack, callbacks: Vec<Callback>) -> Result {
    if callbacks.is_empty() {
        return Ok(());
    }
    let mut functions: Vec<Value> = callbacks.iter().map(Callback::registration).collect();
    functions.dedup();
    let callbacks = std::sync::Arc::new(callbacks);
    let handler: Handler = std::sync::Arc::new(move |asked| {
        let callback = callbacks.iter().find(|c| c.name == asked.function);
        let callback = callback.map(|c| Callback {
            name: c.name.clone(),
            does: c.does.clone(),
        });
        Box::pin(async move {
            match callback {
                Some(callback) => callback.answer(asked).await,
                None => Vec::new(),
            }
        })
    });
    stack.serve(SERVICE, functions.into(), handler).await
}
