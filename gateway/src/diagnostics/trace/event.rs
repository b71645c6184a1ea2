//! One event of a trace: a line of JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_protocol::CallError;

use crate::pipeline::Call;

/// What all events of a call have in common.
#[derive(Debug)]
pub(super) struct Head(Value);

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Head {
    pub(super) fn of(call: &Call, gateway: &str, number: u64) -> Self {
        Self(json!({
            "gateway": gateway,
            "call": number,
            "request_id": call.request_id.as_str(),
            "service": call.service.as_str(),
            "function": call.request_type.as_str(),
            "version": call.version,
            "user": call.identity.user_id,
        }))
    }

    pub(super) fn event(&self, event: &str, elapsed: Duration, detail: Value) -> Bytes {
        let mut line = self.0.clone();
        line["at_ms"] = now_ms().into();
        line["elapsed_us"] = u64::try_from(elapsed.as_micros())
            .unwrap_or(u64::MAX)
            .into();
        line["event"] = event.into();
        if let (Some(line), Value::Object(detail)) = (line.as_object_mut(), detail) {
            for (name, value) in detail {
                line.entry(name).or_insert(value);
            }
        }
        let mut line = line.to_string();
        line.push('\n');
        line.into()
    }
}

/// Why a stage refused.
pub(super) fn refusal(error: &CallError) -> Value {
    json!({
        "error_code": error.code_text(),
        "error": error.message.to_string(),
        "executed": error.executed.as_str(),
        "can_retry": error.can_retry,
    })
}
