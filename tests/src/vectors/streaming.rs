//! `streaming`: what a socket hears of a stream.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame, Payload};
use tokio::sync::Notify;

use super::exchange::{Exchange, alike};
use super::stack::{Handler, Stack};
use super::{Outcome, Vector, responses};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    let got = stream(&vector.input).await;
    let got = got.map_err(|e| json!(e.to_string()))?;
    if alike(&vector.expect["pushes"], &got["pushes"]) {
        Ok(())
    } else {
        Err(got)
    }
}

async fn stream(input: &Value) -> Result<Value> {
    let mut stack = Stack::start(|config| responses::settings(config, &input["config"])).await?;
    let taken = Arc::new(Notify::new());
    let frames = frames(&input["producer"]);
    // The acknowledgement comes first.
    let stop_after = input["producer"]
        .as_array()
        .and_then(|steps| steps.iter().position(|step| step.get("stop").is_some()))
        .map(|items| items + 1);
    let told = Arc::clone(&taken);
    let handler: Handler = Arc::new(move |_| {
        told.notify_one();
        Box::pin(std::future::ready(frames.clone()))
    });
    let mut function = responses::function(&input["config"]);
    function.as_object_mut().map(|f| f.remove("service"));
    stack.serve("s", json!([function]), handler).await?;
    let exchange = Exchange {
        user: Some("u1"),
        payload: &input["payload"],
        response_type: "stream",
        taken,
        stop_after,
    };
    let got = exchange.run(&stack).await;
    stack.stop().await;
    got
}

/// What the producer sends; the first return of the function only opens the stream.
fn frames(producer: &Value) -> Vec<Frame> {
    let mut frames = vec![Frame::Accepted {
        instance: "i1".to_owned(),
    }];
    let mut seq = 0;
    for step in producer.as_array().into_iter().flatten() {
        let item = step.get("result").or_else(|| step.get("last_result"));
        if let Some(item) = item {
            seq += 1;
            frames.push(Frame::Item {
                seq,
                payload: Payload::json(item.to_string()),
                last: step.get("last_result").is_some(),
            });
        } else if step.get("complete").is_some() {
            frames.push(Frame::End { count: seq });
        } else if step.get("error").is_some() {
            let error = CallError::new(ErrorCode::WorkerError, "the producer failed");
            frames.push(Frame::Error {
                error: Box::new(error.with_executed(Executed::Yes, false)),
                instance: Some("i1".to_owned()),
            });
        }
    }
    frames
}
