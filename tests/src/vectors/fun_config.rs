//! `fun_config_validation`: which registrations are refused, and for which fields.

use serde_json::{Value, json};
use sluice_protocol::function::FieldFault;
use sluice_protocol::{FunctionSpec, ServiceName};

use super::{Outcome, Vector, arguments, same};

pub(super) fn run(vector: &Vector) -> Outcome {
    let got = match register(&vector.input["config"]) {
        Ok(_) => json!({ "ok": true }),
        Err(faults) => json!({ "ok": false, "invalid_fields": fields(&faults) }),
    };
    let mut expected = vector.expect.clone();
    if let Some(map) = expected.as_object_mut() {
        map.remove("messages");
    }
    same(&expected, got)
}

/// Registers a function as vectors write it.
pub(super) fn register(config: &Value) -> Result<FunctionSpec, Vec<FieldFault>> {
    let config = ours(config);
    // A service that is no name is a fault of the field, told by the reader of the config.
    let named = config["service"].as_str().map(ServiceName::new);
    let fault = |e: sluice_protocol::id::InvalidId| {
        vec![FieldFault {
            field: "service".to_owned(),
            message: e.to_string(),
        }]
    };
    let service = match named {
        Some(Ok(service)) => service,
        Some(Err(error)) => return Err(fault(error)),
        None => ServiceName::new("unnamed").map_err(fault)?,
    };
    FunctionSpec::from_json(&service, &config)
}

/// A config in our form. `mfa` and `nodes` have none: workers run what they register, and
/// announce themselves. Targets `[module, function, args]` are functions with `extra`.
pub(super) fn ours(config: &Value) -> Value {
    let mut config = config.clone();
    let Some(map) = config.as_object_mut() else {
        return config;
    };
    map.remove("nodes");
    map.remove("mfa");
    map.retain(|name, _| !name.starts_with('$'));
    if let Some(types) = map.get_mut("arg_types") {
        *types = arguments::types(types);
    }
    for name in ["permission_callback", "before_execute", "after_execute"] {
        if let Some(value) = map.get_mut(name) {
            *value = target(value);
        }
    }
    config
}

/// A target: `[module, function]` or `[module, function, [args]]`.
fn target(value: &Value) -> Value {
    let Value::Array(parts) = value else {
        return value.clone();
    };
    let named = parts.first().and_then(Value::as_str);
    let named = named.zip(parts.get(1).and_then(Value::as_str));
    match (named, parts.len()) {
        (Some((service, function)), 2) => json!({ "service": service, "function": function }),
        (Some((service, function)), 3) => {
            json!({ "service": service, "function": function, "extra": parts[2] })
        }
        _ => value.clone(),
    }
}

/// The fields that are wrong, each once; vectors tell faults of the order of args as faults of
/// their types.
fn fields(faults: &[FieldFault]) -> Vec<&str> {
    let mut fields: Vec<&str> = Vec::new();
    for fault in faults {
        let field = fault.field.split('/').next().unwrap_or_default();
        let field = if field == "arg_orders" {
            "arg_types"
        } else {
            field
        };
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}
