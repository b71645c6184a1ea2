//! `responses`: the envelope of each kind of answer, and what a socket hears of whole calls.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_gateway::config::Config;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, Encoding, ErrorCode, Executed, Frame, Payload, Response};
use tokio::sync::Notify;

use super::exchange::{Exchange, alike, response, same_reply};
use super::stack::{Handler, Stack};
use super::{Outcome, Vector, fun_config, rate_limit, unknown};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    if vector.input.get("constructor").is_some() {
        return constructed(vector);
    }
    let got = call(&vector.input)
        .await
        .map_err(|e| json!(e.to_string()))?;
    let expected = &vector.expect;
    let right =
        same_reply(&expected["reply"], &got["reply"]) && alike(&expected["pushes"], &got["pushes"]);
    if right { Ok(()) } else { Err(got) }
}

fn constructed(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let payload = || Payload::json(input["result"].to_string());
    let answer = match input["constructor"].as_str().unwrap_or_default() {
        "sync" => Answer::Result(payload()),
        "async" => Answer::AsyncAck,
        "stream" => Answer::Item {
            payload: payload(),
            last: input["has_more"] == false,
        },
        "stream_end" => Answer::StreamEnd,
        "error" => {
            let text = input["error"].as_str().unwrap_or_default();
            let mut error = CallError::new(ErrorCode::WorkerError, text);
            error.can_retry = input["can_retry"] == true;
            error.into()
        }
        other => return unknown(other),
    };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let envelope = Response {
            request_id: input["request_id"].as_str().unwrap_or_default(),
            answer: &answer,
        };
        let bytes = envelope.encode(encoding).unwrap_or_default();
        let json = Payload { encoding, bytes }.transcode(Encoding::Json);
        let json: Bytes = json.map(|p| p.bytes).unwrap_or_default();
        let got = response(&serde_json::from_slice(&json).unwrap_or_default());
        if got != vector.expect {
            return Err(got);
        }
    }
    Ok(())
}

/// What a whole call leads to.
async fn call(input: &Value) -> Result<Value> {
    let (given, payload) = (&input["config"], &input["payload"]);
    let mut stack = Stack::start(|config| settings(config, given)).await?;
    let taken = Arc::new(Notify::new());
    let mut function = function(given);
    let later = function["response_type"] != "sync";
    let handler = handler(&input["handler"], later, Arc::clone(&taken));
    let service = function["service"].as_str().unwrap_or("s").to_owned();
    function.as_object_mut().map(|f| f.remove("service"));
    stack.serve(&service, json!([function]), handler).await?;
    let user = input["socket_user_id"].as_str().filter(|u| !u.is_empty());
    prior_calls(&mut stack, given, user.unwrap_or_default()).await?;
    // Nodes that are not there: the instance goes without a word.
    if given["nodes"].is_array() {
        stack.silence().await;
    }
    let exchange = Exchange {
        user,
        payload,
        response_type: function["response_type"].as_str().unwrap_or("sync"),
        taken,
        stop_after: None,
    };
    let got = exchange.run(&stack).await;
    stack.stop().await;
    got
}

/// What keys with `$` say of the gateway.
pub(super) fn settings(config: &mut Config, given: &Value) {
    config.phoenix.require_user = true;
    config.gateway.detail_error = given["$detail_error"] == true;
    config.limit = rate_limit::limits(&given["$global_limits"], &Value::Null);
}

/// Earlier calls of the same user, of a function of their own.
pub(super) async fn prior_calls(stack: &mut Stack, given: &Value, user: &str) -> Result {
    let count = given["$prior_requests"].as_u64().unwrap_or_default();
    if count == 0 {
        return Ok(());
    }
    let handler = handler(&json!(["ok", 1]), false, Arc::default());
    let function = json!({ "request_type": "earlier", "timeout": 20_000 });
    stack.serve("prior", json!([function]), handler).await?;
    for number in 0..count {
        let payload = json!({
            "request_id": format!("earlier-{number}"), "service": "prior", "request_type": "earlier",
        });
        let exchange = Exchange {
            user: Some(user),
            payload: &payload,
            response_type: "sync",
            taken: Arc::default(),
            stop_after: None,
        };
        exchange.run(stack).await?;
    }
    Ok(())
}

/// The function of a vector: what its config says, over what all have in common.
pub(super) fn function(given: &Value) -> Value {
    let mut function = json!({
        "request_type": "x", "service": "s", "choose_node_mode": "random",
        // Long enough for a busy machine; no vector waits for it.
        "timeout": 20_000, "response_type": "sync", "check_permission": false,
    });
    if let (Some(function), Some(given)) = (
        function.as_object_mut(),
        fun_config::ours(given).as_object(),
    ) {
        function.extend(given.clone());
    }
    function
}

/// A handler that does what its name says; one that is answered later is taken first.
pub(super) fn handler(what: &Value, later: bool, taken: Arc<Notify>) -> Handler {
    let (kind, value) = (
        what[0].as_str().unwrap_or_default().to_owned(),
        what[1].clone(),
    );
    Arc::new(move |_| {
        taken.notify_one();
        let failed = |code, text: &str| Frame::Error {
            error: Box::new(CallError::new(code, text).with_executed(Executed::Yes, false)),
            instance: Some("i1".to_owned()),
        };
        let frame = match kind.as_str() {
            "ok" | "plain" => Frame::Result(Payload::json(value.to_string())),
            "raise" => failed(ErrorCode::Internal, "the handler panicked"),
            _ => failed(ErrorCode::WorkerError, "the handler failed"),
        };
        let accepted = later.then(|| Frame::Accepted {
            instance: "i1".to_owned(),
        });
        let frames = accepted.into_iter().chain([frame]).collect();
        Box::pin(std::future::ready(frames))
    })
}
