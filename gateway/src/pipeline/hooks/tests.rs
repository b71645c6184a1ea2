//! Hooks and callbacks over a scripted broker, with paused time.

mod after;
mod before;
mod embedded;
mod limited;
mod permission;
mod resources;
mod whose_fault;

use serde_json::Value;
use sluice_protocol::function::{Callback, FunctionSpec};
use sluice_protocol::{CallError, ErrorCode, FunctionName, Payload, ServiceName};

use crate::dispatch::broker::Outgoing;
use crate::dispatch::fake::{Rig, spec};
use crate::hooks::Callbacks;
use crate::reply::Reply;

/// The internal function `s.check`.
fn check() -> FunctionSpec {
    let mut check = spec();
    check.request_type = FunctionName::new("check").unwrap();
    check.internal = true;
    check
}

fn names_check() -> Option<Callback> {
    names("check")
}

fn names(function: &str) -> Option<Callback> {
    Some(Callback {
        service: ServiceName::new("s").unwrap(),
        request_type: FunctionName::new(function).unwrap(),
        extra: Some(serde_json::json!({"limit": 3})),
    })
}

/// `s.f` beside `s.check`.
fn rig(function: FunctionSpec) -> Rig {
    Rig::with(
        vec![function, check()],
        &["a"],
        Callbacks::default(),
        |_| {},
    )
}

fn body(message: &Outgoing<'_>) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

/// Whether no call goes out any more.
async fn nothing_more(rig: &mut Rig) -> bool {
    // Time stands still until nothing is left to do.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    rig.sent_call_now().is_none()
}

fn refusal() -> CallError {
    let mut error = CallError::new(ErrorCode::WorkerError, "over quota");
    error.custom_code = Some("quota".to_owned());
    error
}

fn result_of(reply: Result<Reply, CallError>) -> Payload {
    match reply {
        Ok(Reply::Result(payload)) => payload,
        other => panic!("{other:?}"),
    }
}
