//! `circuit_breaker`: when calls are refused after failures, and how many may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_gateway::config::BreakerOptions;
use sluice_gateway::dispatch::Clock;
use sluice_gateway::dispatch::breaker::Breaker;
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};
use tokio::sync::Semaphore;

use super::exchange::Exchange;
use super::stack::{Handler, Stack};
use super::{Outcome, Vector, same, unknown};
use crate::Result;
use crate::socket::{EVENT, Socket};

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let got = match input["op"].as_str().unwrap_or_default() {
        "is_open" => Ok(json!({ "open": is_open(input) })),
        "worker" => worker(input).await,
        "pool_queue" => queue(input).await,
        other => return unknown(other),
    };
    same(&vector.expect, got.map_err(|e| json!(e.to_string()))?)
}

/// Whether a breaker that opened so long ago refuses calls.
fn is_open(input: &Value) -> bool {
    let breaker = Breaker::default();
    let clock = Clock::start();
    let Some(ago) = input["opened_ms_ago"].as_u64() else {
        return breaker.refuses(clock.now_ms()).is_some();
    };
    let options = BreakerOptions {
        failures: 1,
        open: Duration::from_millis(input["cooldown_ms"].as_u64().unwrap_or_default()),
        ..BreakerOptions::default()
    };
    let before = clock.now_ms();
    let opened = breaker.record(false, clock, &options);
    opened && breaker.refuses(before + ago).is_some()
}

/// Calls one after the other: which of them reach the worker.
async fn worker(input: &Value) -> Result<Value> {
    let mut stack = Stack::start(|config| {
        if let Some(failures) = input["threshold"].as_u64() {
            config.breaker.failures = failures;
        }
        if let Some(open) = input["cooldown_ms"].as_u64() {
            config.breaker.open = Duration::from_millis(open);
        }
    })
    .await?;
    let calls = Arc::new(AtomicUsize::new(0));
    // A deadline that the client shortened is nobody's failure, so it has to be the function's own.
    let tasks = input["tasks"].as_array().into_iter().flatten();
    let timeout = if tasks.clone().any(|task| task == "timeout") {
        1000
    } else {
        20_000
    };
    let function = json!({
        "request_type": "x", "timeout": timeout,
        "arg_types": { "task": "string" }, "arg_orders": ["task"],
    });
    let handler = handler(Arc::clone(&calls));
    stack.serve("s", json!([function]), handler).await?;
    let mut executed = Vec::new();
    for (number, task) in tasks.enumerate() {
        let task = task.as_str().unwrap_or_default();
        if let Some(ms) = task.strip_prefix("wait:") {
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap_or_default())).await;
            continue;
        }
        let before = calls.load(Ordering::SeqCst);
        let payload = json!({
            "request_id": format!("r{number}"), "service": "s", "request_type": "x",
            "args": { "task": task },
        });
        let exchange = Exchange {
            user: None,
            payload: &payload,
            response_type: "sync",
            taken: Arc::default(),
            stop_after: None,
        };
        exchange.run(&stack).await?;
        executed.push(calls.load(Ordering::SeqCst) > before);
    }
    stack.stop().await;
    Ok(json!({ "executed": executed }))
}

/// Does what its task says.
fn handler(calls: Arc<AtomicUsize>) -> Handler {
    Arc::new(move |asked| {
        calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match asked.args["task"].as_str() {
                Some("ok") => vec![Frame::Result(Payload::json("1"))],
                Some("timeout") => std::future::pending().await,
                _ => {
                    let error = CallError::new(ErrorCode::WorkerError, "the task failed");
                    vec![Frame::Error {
                        error: Box::new(error.with_executed(Executed::Yes, false)),
                        instance: Some("i1".to_owned()),
                    }]
                }
            }
        })
    })
}

/// Calls that block at once: which of them have a place, at work or waiting.
async fn queue(input: &Value) -> Result<Value> {
    let mut stack = Stack::start(|_| {}).await?;
    let open = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&open);
    let handler: Handler = Arc::new(move |_| {
        let door = Arc::clone(&door);
        Box::pin(async move {
            // Closed when all have been tried.
            let _ = door.acquire().await;
            vec![Frame::Result(Payload::json("1"))]
        })
    });
    let function = json!({
        "request_type": "x", "timeout": 20_000,
        "max_in_flight": input["pool_size"], "max_queue": input["max_queue_size"],
    });
    stack.serve("s", json!([function]), handler).await?;
    let count = input["submit_blocking"].as_u64().unwrap_or_default();
    let mut socket = Socket::connect(stack.gateway.http()).await?;
    socket.join().await?;
    let mut responses: Vec<Option<Value>> = Vec::new();
    for number in 0..count {
        let payload = json!({
            "request_id": number.to_string(), "service": "s", "request_type": "x",
        });
        let reference = socket.push(&payload).await?;
        socket.reply(reference).await?;
        responses.push(None);
        settle(&mut socket, &mut responses).await?;
    }
    let accepted: Vec<bool> = responses.iter().map(Option::is_none).collect();
    open.close();
    let codes: Vec<&Value> = responses
        .iter()
        .flatten()
        .map(|r| &r["error_code"])
        .collect();
    let full = codes.iter().all(|code| **code == "overloaded");
    let mut got = json!({ "accepted": accepted });
    if !codes.is_empty() {
        got["error"] = if full {
            "queue_full".into()
        } else {
            json!(codes)
        };
    }
    stack.stop().await;
    Ok(got)
}

/// Reads what has come by the answers to two heartbeats: a refusal is there by then.
async fn settle(socket: &mut Socket, responses: &mut [Option<Value>]) -> Result {
    for _ in 0..2 {
        let reference = socket
            .push_event("phoenix", "heartbeat", &json!({}))
            .await?;
        loop {
            let frame = socket.frame().await?;
            if frame.is_reply_to(reference) {
                break;
            }
            let id = frame.payload["request_id"].as_str();
            let place = id.and_then(|id| id.parse::<usize>().ok());
            if let Some(place) =
                place.filter(|place| frame.event == EVENT && *place < responses.len())
            {
                responses[place] = Some(frame.payload);
            }
        }
    }
    Ok(())
}
