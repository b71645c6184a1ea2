//! `permissions`: who may call.

use serde_json::{Value, json};
use sluice_protocol::function::ArgOrders;
use sluice_protocol::{FunctionSpec, Identity, Payload, ServiceName};

use super::{Outcome, Vector, same, unknown};

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let mut function = json!({
        "request_type": "f",
        "check_permission": input["check_permission"],
    });
    if let Some(callback) = input.get("permission_callback") {
        let Some(malformed) = callback.get("malformed") else {
            return unknown("permission callbacks");
        };
        function["permission_callback"] = malformed.clone();
    }
    same(
        &vector.expect,
        json!({ "allowed": allowed(input, &function) }),
    )
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
