//! `arguments`: what a handler is given for the args of a request.

use serde_json::{Map, Value, json};
use sluice_protocol::argument::{ArgKind, Fault, Items, category, check, positional};
use sluice_protocol::{Encoding, FunctionSpec, Payload, ServiceName};

use super::{Outcome, Vector, moment};

pub(super) fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let expected = &vector.expect;
    let function = json!({
        "request_type": "f",
        "arg_types": types(&input["arg_types"]),
        "arg_orders": input["arg_orders"],
    });
    let Ok(service) = ServiceName::new("s") else {
        return Err(json!("no service"));
    };
    let spec = match FunctionSpec::from_json(&service, &function) {
        Ok(spec) => spec,
        Err(faults) => {
            let faults: Vec<String> = faults
                .into_iter()
                .map(|f| format!("{}: {}", f.field, f.message))
                .collect();
            return Err(json!({ "ok": false, "not_registered": faults }));
        }
    };
    let args = match &input["args"] {
        Value::Null => json!({}),
        args => args.clone(),
    };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let payload = Payload::json(args.to_string()).transcode(encoding);
        let payload = payload.map_err(|e| json!(e.to_string()))?;
        let got = delivered(&spec, payload, expected);
        // Texts are not compared.
        let right = match (expected.get("value"), got.get("value")) {
            (Some(expected), Some(got)) => moment::matches(expected, got),
            (None, None) => expected["ok"] == got["ok"] && expected["error"] == got["error"],
            _ => false,
        };
        if !right {
            return Err(got);
        }
    }
    Ok(())
}

fn delivered(spec: &FunctionSpec, args: Payload, expected: &Value) -> Value {
    let checked = match check(spec.arg_types.as_ref(), args) {
        Ok(checked) => checked,
        Err(faults) => {
            let error = error(
                spec,
                &faults,
                expected["error"].as_str().unwrap_or_default(),
            );
            return json!({ "ok": false, "error": error, "faults": faults });
        }
    };
    match positional(spec.arg_types.as_ref(), spec.arg_orders.as_ref(), &checked) {
        Ok(values) => json!({ "ok": true, "value": values }),
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    }
}

/// Types with the legacy pair form written as an object: `n` is the limit of the type's size.
pub(super) fn types(types: &Value) -> Value {
    let Value::Object(map) = types else {
        return types.clone();
    };
    let entries = map.iter().map(|(name, of)| {
        let Some(pair) = of.get("$pair") else {
            return (name.clone(), of.clone());
        };
        let limit = if pair[0] == "string" {
            "max_bytes"
        } else {
            "max_items"
        };
        (name.clone(), json!({ "type": pair[0], limit: pair[1] }))
    });
    Value::Object(entries.collect::<Map<String, Value>>())
}

/// The one error that vectors tell, of all faults: the first in the order of their checks; among
/// those that have no order the expected one, if it is there.
fn error(spec: &FunctionSpec, faults: &[Fault], expected: &str) -> &'static str {
    let found: Vec<(u8, &str)> = faults.iter().map(|f| neutral(spec, f)).collect();
    let first = found
        .iter()
        .map(|(rank, _)| *rank)
        .min()
        .unwrap_or_default();
    let mut candidates = found.iter().filter(|(rank, _)| *rank == first);
    let any = candidates.clone().next().map_or("none", |(_, name)| name);
    candidates
        .find(|(_, name)| *name == expected)
        .map_or(any, |(_, name)| name)
}

/// The name that vectors have for a fault, and when their checks would find it.
fn neutral(spec: &FunctionSpec, fault: &Fault) -> (u8, &'static str) {
    const EXTRA: u8 = 0;
    const ARGUMENT: u8 = 1;
    let mut parts = fault.path.split('/').skip(1);
    let name = parts.next().unwrap_or_default();
    let name = name.replace("~1", "/").replace("~0", "~");
    let inside = parts.next().is_some();
    let declared = spec.arg_types.as_ref().and_then(|types| types.get(&name));
    let kind = declared.map(|arg| &arg.kind);
    match (fault.category, inside) {
        (category::UNKNOWN, false) => (EXTRA, "extra_arguments"),
        (category::MISSING | category::NULL, false) => (ARGUMENT, "missing_or_nil"),
        (category::TYPE | category::ENUM, false) => (ARGUMENT, "wrong_type"),
        (category::TOO_LARGE, false) => (ARGUMENT, "too_large"),
        (category::TOO_MANY_ITEMS, false) => (ARGUMENT, "too_many_items"),
        (category::FORMAT, false) => match kind {
            Some(ArgKind::Uuid) => (ARGUMENT, "bad_uuid"),
            Some(ArgKind::Datetime | ArgKind::NaiveDatetime) => (ARGUMENT, "bad_datetime"),
            _ => (ARGUMENT, "bad_format"),
        },
        (category::MISSING, true) => (ARGUMENT + 1, "missing_required_keys"),
        (category::UNKNOWN, true) => (ARGUMENT + 2, "rejected_keys"),
        (category::NESTED, true) => (ARGUMENT + 3, "nested_not_supported"),
        (_, true) => match kind {
            Some(ArgKind::List {
                items: Items::Of(_),
                ..
            }) => (ARGUMENT + 3, "item_invalid"),
            _ => (ARGUMENT + 3, "unsupported_value"),
        },
        (other, false) => (ARGUMENT, other),
    }
}
