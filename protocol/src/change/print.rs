//! Versions as JSON: what the reader reads back as the same.

use serde_json::{Map, Value, json};

use super::{Action, Change, Concerns, Operation, RequestChange, Version, Versions};

pub(super) fn versions(versions: &Versions) -> Value {
    versions.0.iter().map(version).collect()
}

fn version(version: &Version) -> Value {
    let mut out = json!({ "version": version.version });
    if !version.changes.is_empty() {
        out["changes"] = version.changes.iter().map(change).collect();
    }
    if !version.arg_types.is_empty() {
        let types = version.arg_types.iter();
        let types: Map<String, Value> = types
            .map(|(name, types)| (name.to_string(), types.to_json()))
            .collect();
        out["arg_types"] = types.into();
    }
    out
}

pub(super) fn change(change: &Change) -> Value {
    let mut out = json!({ "name": change.name });
    if let Some(description) = &change.description {
        out["description"] = json!(description);
    }
    out["functions"] = match &change.functions {
        Concerns::All => json!(["*"]),
        Concerns::Only(names) => json!(names),
    };
    if change.code {
        out["code"] = json!(true);
    }
    if let Some(parts) = request(&change.request) {
        out["request"] = parts;
    }
    if !change.response.is_empty() {
        out["response"] = change.response.iter().map(operation).collect();
    }
    out
}

fn request(request: &RequestChange) -> Option<Value> {
    let list = |operations: &[Operation]| operations.iter().map(operation).collect::<Value>();
    if request.query.is_empty() && request.path.is_empty() {
        return (!request.body.is_empty()).then(|| list(&request.body));
    }
    let parts = [
        ("body", &request.body),
        ("query", &request.query),
        ("path", &request.path),
    ];
    let there = parts.into_iter().filter(|(_, list)| !list.is_empty());
    Some(Value::Object(
        there
            .map(|(part, all)| (part.to_owned(), list(all)))
            .collect(),
    ))
}

fn operation(operation: &Operation) -> Value {
    let mut out = action(&operation.action);
    if !operation.at.is_root() {
        out["at"] = json!(operation.at.to_string());
    }
    out
}

fn action(action: &Action) -> Value {
    let literal = |json: &str| serde_json::from_str::<Value>(json).unwrap_or_default();
    let packed = |op: &str, path: String, key: &Option<String>| match key {
        Some(key) => json!({ "op": op, "path": path, "key": key }),
        None => json!({ "op": op, "path": path }),
    };
    match action {
        Action::Rename { from, to } => json!({ "op": "rename", "from": from, "to": to }),
        Action::Move { from, to, prune } => {
            let mut out = json!({ "op": "move", "from": from.to_string(), "to": to.to_string() });
            if *prune {
                out["prune"] = json!(true);
            }
            out
        }
        Action::Default { path, value } => {
            json!({ "op": "default", "path": path.to_string(), "value": literal(value.as_json()) })
        }
        Action::Set { path, value } => {
            json!({ "op": "set", "path": path.to_string(), "value": literal(value.as_json()) })
        }
        Action::Drop { path } => json!({ "op": "drop", "path": path.to_string() }),
        Action::MapValues { path, values } => {
            let values: Map<String, Value> = values
                .iter()
                .map(|(old, new)| (old.clone(), json!(new)))
                .collect();
            json!({ "op": "map_values", "path": path.to_string(), "values": values })
        }
        Action::Wrap { path, key } => packed("wrap", path.to_string(), key),
        Action::Unwrap { path, key } => packed("unwrap", path.to_string(), key),
        Action::Split { path, into, by } => {
            json!({ "op": "split", "path": path.to_string(), "into": into, "by": by })
        }
        Action::Join { from, path, by } => {
            json!({ "op": "join", "from": from, "path": path.to_string(), "by": by })
        }
    }
}
