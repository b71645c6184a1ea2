//! One request over a socket, and all that comes back.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::stack::Stack;
use crate::Result;
use crate::socket::{EVENT, Received, Socket, TOPIC};

/// The keys that vectors tell of a response.
const KEYS: [&str; 7] = [
    "request_id",
    "result",
    "success",
    "error",
    "async",
    "has_more",
    "can_retry",
];

/// One request.
pub(super) struct Exchange<'a> {
    /// Who the socket is, if anybody.
    pub(super) user: Option<&'a str>,
    /// What is pushed.
    pub(super) payload: &'a Value,
    /// How the function answers.
    pub(super) response_type: &'a str,
    /// Told when a worker has taken the call.
    pub(super) taken: Arc<Notify>,
    /// Stop the stream after so many responses.
    pub(super) stop_after: Option<usize>,
}

impl Exchange<'_> {
    /// Pushes it, and reads until nothing more can come.
    pub(super) async fn run(&self, stack: &Stack) -> Result<Value> {
        let address = stack.gateway.http();
        let mut socket = match self.user {
            Some(user) => Socket::connect_as(address, user).await?,
            None => Socket::connect(address).await?,
        };
        socket.join().await?;
        let reference = socket.push(self.payload).await?;
        let (mut reply, mut pushes) = (Value::Null, Vec::new());
        while reply.is_null() || !self.is_final(&pushes) {
            let received = tokio::select! {
                received = socket.next() => received?,
                () = self.taken.notified(), if self.response_type == "none" && !reply.is_null() => break,
            };
            let Received::Frame(frame) = received else {
                return Ok(json!({ "reply": { "connection_crash": true }, "pushes": pushes }));
            };
            if frame.is_reply_to(reference) {
                reply = frame.payload;
            } else if frame.event == EVENT {
                pushes.push(response(&frame.payload));
                if self.stop_after == Some(pushes.len()) {
                    let stop = json!({ "request_id": self.payload["request_id"] });
                    socket.push_event(TOPIC, "stop_stream", &stop).await?;
                }
            }
            // What is refused at once has no other response.
            if reply["status"] == "error" && !pushes.is_empty() {
                break;
            }
        }
        pushes.extend(rest(&mut socket).await?);
        Ok(json!({ "reply": reply, "pushes": pushes }))
    }

    fn is_final(&self, pushes: &[Value]) -> bool {
        let Some(last) = pushes.last() else {
            return false;
        };
        last["success"] == false
            || match self.response_type {
                "stream" => last["has_more"] == false,
                "async" => last["async"] == false,
                _ => true,
            }
    }
}

/// What still comes: all of it stands before the answer to a heartbeat.
async fn rest(socket: &mut Socket) -> Result<Vec<Value>> {
    let mut pushes = Vec::new();
    let reference = socket
        .push_event("phoenix", "heartbeat", &json!({}))
        .await?;
    loop {
        let frame = socket.frame().await?;
        if frame.is_reply_to(reference) {
            return Ok(pushes);
        }
        if frame.event == EVENT {
            pushes.push(response(&frame.payload));
        }
    }
}

/// A response as vectors tell it; no error is null there.
pub(super) fn response(payload: &Value) -> Value {
    let fields = KEYS.map(|key| (key.to_owned(), payload[key].clone()));
    let mut response: Value = serde_json::Map::from_iter(fields).into();
    if response["error"] == "" {
        response["error"] = Value::Null;
    }
    response
}

/// Whether responses say the same: texts of errors may differ, but are errors in both.
pub(super) fn alike(expected: &Value, got: &Value) -> bool {
    let (Some(expected), Some(got)) = (expected.as_array(), got.as_array()) else {
        return false;
    };
    let same = |(expected, got): (&Value, &Value)| {
        KEYS.iter().all(|key| match *key {
            "error" => expected["error"].is_null() == got["error"].is_null(),
            key => expected[key] == got[key],
        })
    };
    expected.len() == got.len() && expected.iter().zip(got).all(same)
}

/// Whether a reply says the same: its status, and on success its text.
pub(super) fn same_reply(expected: &Value, got: &Value) -> bool {
    if expected.get("connection_crash").is_some() {
        return got.get("connection_crash").is_some();
    }
    expected["status"] == got["status"]
        && (expected["status"] != "ok" || expected["response"] == got["response"])
}
