//! The npm package `phoenix` against a socket with a scripted service.

use std::path::Path;

use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Payload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::rig::{item, options};
use super::wire::{serve, sockets};
use crate::edge::phoenix::CallService;
use crate::pipeline::Call;
use crate::reply::{Answers, Reply};

/// The functions that `tests/node/phoenix.mjs` calls.
#[derive(Debug, Clone)]
struct Script;

impl CallService for Script {
    async fn call(&self, call: Box<Call>) -> Result<Reply, CallError> {
        match call.request_type.as_str() {
            "echo" => Ok(Reply::Result(call.args)),
            "none" => Ok(Reply::Accepted),
            "later" => Ok(Reply::Async(answers(vec![Answer::Result(call.args)]))),
            "count" => {
                let args: serde_json::Value = serde_json::from_slice(&call.args.bytes).unwrap();
                let mut all: Vec<Answer> = (0..args["n"].as_u64().unwrap())
                    .map(|n| item(&n.to_string()))
                    .collect();
                all.push(Answer::StreamEnd);
                Ok(Reply::Stream(answers(all)))
            }
            "forever" => Ok(Reply::Stream(answers(std::iter::repeat_with(|| {
                Answer::Item {
                    payload: Payload::json("0"),
                    last: false,
                }
            })))),
            name => Err(CallError::new(ErrorCode::PermissionDenied, name)),
        }
    }
}

fn answers<I>(all: I) -> Answers
where
    I: IntoIterator<Item = Answer>,
    I::IntoIter: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(4);
    let all = all.into_iter();
    tokio::spawn(async move {
        for answer in all {
            if sender.send(answer).await.is_err() {
                return;
            }
        }
    });
    Answers::new(receiver, CancellationToken::new())
}

#[tokio::test]
#[ignore = "needs node, and `npm install` in tests/node"]
async fn the_npm_package_connects_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/node");
    let (sockets, _token) = sockets(options(), Script);
    let address = serve(sockets).await;
    let status = tokio::process::Command::new("node")
        .current_dir(folder)
        .args(["phoenix.mjs", &format!("ws://{address}/socket")])
        .status()
        .await
        .unwrap();
    assert!(status.success());
}
