//! `retry_normalize`: the forms of `retry`, the waits, and what is tried again.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_protocol::retry::{RetryMode, backoff, backoff_within};
use sluice_protocol::{FunctionSpec, ServiceName};

use super::{Outcome, Vector, same, unknown};

pub(super) async fn run(vector: &Vector) -> Outcome {
    match vector.input["op"].as_str().unwrap_or_default() {
        "normalize" => same(&vector.expect, normalize(&vector.input["retry"])),
        "backoff" => same(&vector.expect, wait(&vector.input)),
        other => unknown(other),
    }
}

fn normalize(retry: &Value) -> Value {
    let function = json!({ "request_type": "f", "retry": retry });
    let spec = ServiceName::new("s")
        .ok()
        .and_then(|service| FunctionSpec::from_json(&service, &function).ok());
    let Some(spec) = spec else {
        return json!({ "ok": false });
    };
    let normalized = spec.retry.map(|retry| {
        let mode = match retry.mode {
            RetryMode::SameNode => "same_node",
            RetryMode::AllNodes => "all_nodes",
        };
        json!({ "mode": mode, "attempts": retry.attempts })
    });
    json!({ "ok": true, "normalized": normalized })
}

fn wait(input: &Value) -> Value {
    let attempt = input["attempt"].as_u64().unwrap_or_default();
    let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
    let limit = |name: &str| input[name].as_u64().map(Duration::from_millis);
    let with = |jitter: f64| {
        let wait = match (limit("base_ms"), limit("max_ms")) {
            (None, None) => backoff(attempt, jitter),
            (first, longest) => {
                let first = first.unwrap_or(Duration::from_millis(100));
                let longest = longest.unwrap_or(Duration::from_millis(5000));
                backoff_within(attempt, jitter, first, longest)
            }
        };
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    };
    if input["jitter"] == true {
        // The bounds between which the gateway draws.
        return json!({ "min_ms": with(0.5), "max_ms": with(1.5) });
    }
    json!({ "delay_ms": with(1.0) })
}
