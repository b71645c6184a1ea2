//! `retry_normalize`: the forms of `retry`, the waits, and what is tried again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_protocol::retry::{RetryMode, backoff, backoff_within};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, FunctionSpec, Payload, ServiceName};

use super::exchange::Exchange;
use super::stack::{Handler, Stack};
use super::{Outcome, Vector, same, unknown};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    match vector.input["op"].as_str().unwrap_or_default() {
        "normalize" => same(&vector.expect, normalize(&vector.input["retry"])),
        "backoff" => same(&vector.expect, wait(&vector.input)),
        "execute" => executed(vector).await,
        "execute_result" => {
            let got = returned(&vector.input)
                .await
                .map_err(|e| json!(e.to_string()))?;
            if vector.expect["success"] == got["success"] {
                Ok(())
            } else {
                Err(got)
            }
        }
        other => unknown(other),
    }
}

/// A handler that fails first: how often it is called, and how that ends.
///
/// It says that its failure may pass, since a worker's error is repeated only where it says so.
/// `retry_event_attempts` are the attempts that were left before each extra one; a call whose
/// attempts are used up has ended by `exhausted_event`.
async fn executed(vector: &Vector) -> Outcome {
    let (input, expected) = (&vector.input, &vector.expect);
    let got = execute(input).await.map_err(|e| json!(e.to_string()))?;
    let same = |name: &str| expected[name] == got[name];
    let ended = expected["exhausted_event"].is_null() == got["exhausted_event"].is_null();
    let right = same("handler_calls") && same("success") && same("retry_event_attempts") && ended;
    if right { Ok(()) } else { Err(got) }
}

async fn execute(input: &Value) -> Result<Value> {
    let fail_first = input["handler"]["fail_first"].as_u64().unwrap_or_default();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let handler: Handler = Arc::new(move |asked| {
        let mut seen = seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.push(asked.headers.attempt);
        let frame = if u64::try_from(seen.len()).unwrap_or(u64::MAX) <= fail_first {
            failure(true)
        } else {
            Frame::Result(Payload::json("1"))
        };
        Box::pin(std::future::ready(vec![frame]))
    });
    let response = respond(&input["retry"], handler).await?;
    let attempts = attempts
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    let normalized = normalize(&input["retry"])["normalized"].take();
    let most = normalized["attempts"].as_u64().unwrap_or_default();
    // The first attempt is number 1; before number 2 all extra ones are left.
    let left = attempts
        .iter()
        .skip(1)
        .map(|n| (most + 2).saturating_sub(u64::from(*n)));
    let left: Vec<u64> = left.collect();
    let exhausted = response["success"] == false && most > 0;
    Ok(json!({
        "handler_calls": attempts.len(), "success": response["success"],
        "retry_event_attempts": left, "exhausted_event": exhausted.then_some(normalized),
        "error": response["error"],
    }))
}

/// A handler whose return is no result.
async fn returned(input: &Value) -> Result<Value> {
    let handler: Handler = Arc::new(|_| Box::pin(std::future::ready(vec![failure(false)])));
    respond(&input["retry"], handler).await
}

fn failure(may_pass: bool) -> Frame {
    let mut error = CallError::new(ErrorCode::WorkerError, "the handler failed")
        .with_executed(Executed::Yes, false);
    error.can_retry = may_pass;
    Frame::Error {
        error: Box::new(error),
        instance: Some("i1".to_owned()),
    }
}

/// The one response to a call of a function with this `retry`.
async fn respond(retry: &Value, handler: Handler) -> Result<Value> {
    let mut stack = Stack::start(|_| {}).await?;
    let function = json!({ "request_type": "x", "timeout": 20_000, "retry": retry });
    stack.serve("s", json!([function]), handler).await?;
    let payload = json!({ "request_id": "r1", "service": "s", "request_type": "x" });
    let exchange = Exchange {
        user: None,
        payload: &payload,
        response_type: "sync",
        taken: Arc::default(),
        stop_after: None,
    };
    let got = exchange.run(&stack).await;
    stack.stop().await;
    Ok(got?["pushes"][0].take())
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
