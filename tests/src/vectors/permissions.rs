//! `permissions`: who may call.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_protocol::function::ArgOrders;
use sluice_protocol::{FunctionSpec, Identity, Payload, ServiceName};

use super::callbacks::{self, Callback};
use super::exchange::Exchange;
use super::stack::Stack;
use super::{Outcome, Vector, responses, same};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let mut function = json!({
        "request_type": "f",
        "check_permission": input["check_permission"],
    });
    if let Some(callback) = input.get("permission_callback") {
        let Some(malformed) = callback.get("malformed") else {
            let got = asked(input, callback).await;
            let got = got.map_err(|e| json!(e.to_string()))?;
            return same(&vector.expect, json!({ "allowed": got }));
        };
        function["permission_callback"] = malformed.clone();
    }
    same(
        &vector.expect,
        json!({ "allowed": allowed(input, &function) }),
    )
}

/// Whether a call passes that a callback decides of.
async fn asked(input: &Value, callback: &Value) -> Result<bool> {
    let mut stack = Stack::start(|_| {}).await?;
    let behaviour = Callback::permission(callback["behaviour"].as_str().unwrap_or_default());
    let extra = callback.get("args");
    let function = json!({
        "request_type": "f", "timeout": 20_000, "hook_timeout": 5000,
        "check_permission": input["check_permission"],
        "permission_callback": behaviour.target(extra),
    });
    callbacks::serve(&mut stack, vec![behaviour]).await?;
    let handler = responses::handler(&json!(["ok", 1]), false, Arc::default());
    stack.serve("s", json!([function]), handler).await?;
    let request = &input["request"];
    let payload = json!({
        "request_id": "r1", "service": "s", "request_type": "f", "args": request["args"],
        "user_roles": request["user_roles"],
    });
    let exchange = Exchange {
        user: request["user_id"].as_str(),
        payload: &payload,
        response_type: "sync",
        taken: Arc::default(),
        stop_after: None,
    };
    let got = exchange.run(&stack).await;
    stack.stop().await;
    Ok(got?["pushes"][0]["success"] == true)
}

fn allowed(input: &Value, function: &Value) -> bool {
    let spec = ServiceName::new("s")
        .ok()
        .and_then(|service| FunctionSpec::from_json(&service, function).ok());
    // What is not registered nobody may call.
    let Some(mut spec) = spec else {
        return false;
    };
    // Vectors of rules do not tell the types that an order needs to be registered.
    if input["arg_orders"] == "map" {
        spec.arg_orders = Some(ArgOrders::Map);
    }
    let request = &input["request"];
    let args = match &request["args"] {
        Value::Null => json!({}),
        args => args.clone(),
    };
    let args = Payload::json(args.to_string());
    let orders = spec.arg_orders.as_ref();
    spec.check_permission
        .permits(orders, &identity(request), &args)
}

/// The identity of a decoded request.
pub(super) fn identity(request: &Value) -> Identity {
    let id = |name: &str| request[name].as_str().filter(|id| !id.is_empty());
    let roles = request["user_roles"].as_array().into_iter().flatten();
    Identity {
        user_id: id("user_id").map(str::to_owned),
        device_id: id("device_id").map(str::to_owned),
        roles: roles
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect(),
    }
}
