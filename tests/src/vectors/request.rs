//! `request_decode`: what is read of a request.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_gateway::config::Config;
use sluice_protocol::{CallError, Encoding, Payload, Request};

use super::{Outcome, Vector};

pub(super) fn run(vector: &Vector) -> Outcome {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let body = Payload::json(vector.input["payload"].to_string()).transcode(encoding);
        let body = body.map_err(|e| json!(e.to_string()))?.bytes;
        let got = match read(&body, encoding) {
            Ok(request) => json!({ "ok": true, "request": fields(&request) }),
            Err(code) => json!({ "ok": false, "code": code }),
        };
        let expected = &vector.expect;
        let right = match expected.get("request") {
            Some(request) => got.get("request") == Some(&comparable(request)),
            None => expected["ok"] == got["ok"] && expected["code"] == got["code"],
        };
        if !right {
            return Err(got);
        }
    }
    Ok(())
}

/// Reads a request as the edges do; the error as vectors name it.
fn read(body: &Bytes, encoding: Encoding) -> Result<Request, &'static str> {
    if body.len() > Config::default().http.max_body_bytes {
        return Err("invalid_payload");
    }
    let request = match encoding {
        Encoding::Json => Request::from_json(body),
        Encoding::MessagePack | Encoding::Http => Request::from_message_pack(body),
    };
    let request = request.and_then(|request| request.required_id().cloned().map(|_| request));
    request.map_err(|error: CallError| {
        if error.message.starts_with("missing required fields") {
            "missing_field"
        } else {
            "invalid_payload"
        }
    })
}

fn fields(request: &Request) -> Value {
    let args = request.args.transcode(Encoding::Json).ok();
    let args = args.and_then(|args| serde_json::from_slice::<Value>(&args.bytes).ok());
    json!({
        "request_id": request.request_id, "service": request.service,
        "request_type": request.request_type, "version": request.version,
        "args": args, "user_id": request.claim.user_id, "device_id": request.claim.device_id,
        "user_roles": request.claim.roles,
    })
}

/// What is expected, as we keep it: no roles and none told are the same, and an id is text.
fn comparable(request: &Value) -> Value {
    let mut request = request.clone();
    if request["user_roles"].is_null() {
        request["user_roles"] = json!([]);
    }
    for id in ["user_id", "device_id"] {
        if let Value::Number(number) = &request[id] {
            request[id] = number.to_string().into();
        }
    }
    request
}
