//! Functions as JSON that can be sent at once, and as a config file that `serve` loads.

use serde_json::{Map, Value, json};
use sluice_protocol::argument::{ArgKind, ArgSpec};
use sluice_protocol::{FunctionSpec, Subjects};

use crate::registry::snapshot::{Function, Snapshot};

/// What stands in the examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `user_id` of each request.
    pub user_id: String,
    /// `device_id` of each request.
    pub device_id: String,
    /// `request_id` of each request.
    pub request_id: String,
    /// The event of the push.
    pub event: String,
    /// Descriptions by function, instead of those that were registered.
    pub descriptions: Map<String, Value>,
    /// Values of args: by function an object of them.
    pub arg_values: Map<String, Value>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_id: "user_1".to_owned(),
            device_id: "device_1".to_owned(),
            request_id: "request_1".to_owned(),
            event: "phoenix_gen_api".to_owned(),
            descriptions: Map::new(),
            arg_values: Map::new(),
        }
    }
}

/// The functions that clients may call: of each the latest version that is enabled, by our order of
/// versions; of `service` alone, or of all.
#[must_use]
pub fn latest<'a>(snapshot: &'a Snapshot, service: Option<&str>) -> Vec<&'a Function> {
    let mut found: Vec<&Function> = Vec::new();
    for (name, functions) in &snapshot.services {
        if service.is_some_and(|wanted| wanted != name.as_str()) {
            continue;
        }
        for all in functions.values() {
            let callable = |f: &&std::sync::Arc<Function>| {
                let spec = spec_of(f);
                !f.disabled && spec.is_some_and(|s| !s.internal && !s.disabled)
            };
            let stable = |f: &&std::sync::Arc<Function>| {
                f.version.as_ref().is_none_or(|v| !v.is_prerelease())
            };
            let mut newest_first = all.versions.iter().rev().filter(callable);
            let newest = newest_first
                .clone()
                .find(stable)
                .or_else(|| newest_first.next());
            found.extend(newest.map(std::sync::Arc::as_ref));
        }
    }
    found.sort_by_key(|f| (f.service.clone(), f.request_type.clone()));
    found
}

fn spec_of(function: &Function) -> Option<&FunctionSpec> {
    function.variants.last().map(|v| &*v.spec)
}

/// Requests by `"<function> - <description>"`, each a push of a socket. Where two services have a
/// function of one name, the service stands before it.
#[must_use]
pub fn map_form(functions: &[&Function], options: &Options) -> Value {
    let specs: Vec<&FunctionSpec> = functions.iter().filter_map(|f| spec_of(f)).collect();
    let mut out = Map::new();
    for spec in &specs {
        let twice = specs
            .iter()
            .filter(|s| s.request_type == spec.request_type)
            .count()
            > 1;
        let (key, value) = example(spec, options);
        let key = if twice {
            format!("{}.{key}", spec.service)
        } else {
            key
        };
        out.insert(key, value);
    }
    Value::Object(out)
}

/// One function's key and request.
#[must_use]
pub fn example(spec: &FunctionSpec, options: &Options) -> (String, Value) {
    let name = spec.request_type.as_str();
    let described = options.descriptions.get(name).and_then(Value::as_str);
    let described = described.or(spec.description.as_deref()).unwrap_or(name);
    let value = json!({
        "event": options.event,
        "data": {
            "user_id": options.user_id,
            "device_id": options.device_id,
            "request_type": name,
            "request_id": options.request_id,
            "service": spec.service.as_str(),
            "version": spec.version.as_ref().map(ToString::to_string),
            "args": args(spec, options.arg_values.get(name)),
        }
    });
    (format!("{name} - {described}"), value)
}

fn args(spec: &FunctionSpec, given: Option<&Value>) -> Value {
    let types = spec.arg_types.iter().flat_map(|types| &types.0);
    let one = |(name, arg): &(String, ArgSpec)| {
        let value = given.and_then(|g| g.get(name)).cloned();
        let value = value.or_else(|| arg.default_value.clone());
        (
            name.clone(),
            value.unwrap_or_else(|| placeholder(&arg.kind)),
        )
    };
    Value::Object(types.map(one).collect())
}

/// What stands where nothing is known: of the arg's type, so that the shape is right.
fn placeholder(kind: &ArgKind) -> Value {
    match kind {
        ArgKind::Enum { values } => values.first().map_or("".into(), |v| v.as_str().into()),
        ArgKind::Num => json!(0),
        ArgKind::NumBetween { min, max } => json!(min.or(*max).unwrap_or(0.0)),
        ArgKind::Integer { min, max } => json!(min.or(*max).unwrap_or(0)),
        ArgKind::Boolean => json!(false),
        ArgKind::List { .. } => json!([]),
        ArgKind::Map(_) => json!({}),
        ArgKind::Object { fields } => {
            let one = |(name, arg): &(String, ArgSpec)| (name.clone(), placeholder(&arg.kind));
            Value::Object(fields.0.iter().map(one).collect())
        }
        ArgKind::Uuid => json!("00000000-0000-4000-8000-000000000000"),
        ArgKind::Datetime => json!("2030-01-01T00:00:00Z"),
        ArgKind::NaiveDatetime => json!("2030-01-01T00:00:00"),
        ArgKind::String { .. } | ArgKind::Pattern { .. } | ArgKind::Any => json!(""),
    }
}

/// `[[function]]` tables: the functions as fixed ones, each on the subject where its workers listen.
///
/// # Errors
/// When a function has no form in TOML.
pub fn config_form(functions: &[&Function], subjects: &Subjects) -> Result<String, String> {
    let mut tables = Vec::new();
    for function in functions {
        let Some(variant) = function.variants.last() else {
            continue;
        };
        let subject = variant.fixed_subject.clone().unwrap_or_else(|| {
            subjects.call(
                &function.service,
                function.version.as_ref(),
                &function.request_type,
            )
        });
        let mut table = Map::new();
        table.insert("service".to_owned(), function.service.as_str().into());
        table.insert("subject".to_owned(), subject.into());
        if variant.bare {
            table.insert("headers".to_owned(), false.into());
        }
        if let Value::Object(spec) = variant.spec.to_json() {
            table.extend(spec);
        }
        tables.push(without_null(Value::Object(table)));
    }
    toml::to_string(&json!({ "function": tables })).map_err(|e| e.to_string())
}

/// TOML knows no null; where one stands in a spec, leaving it out says the same.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k, without_null(v))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_null).collect(),
        other => other,
    }
}
