//! The args of a Rust type, as its JSON Schema tells them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use sluice_protocol::Payload;
use sluice_protocol::argument::{
    self, ArgKind, ArgSpec, ArgTypes, Items, MAX_TYPE_DEPTH, MapRule, Pattern,
};

use super::{DEFAULT_LIST_ITEMS, DEFAULT_STRING_BYTES};

/// The args of `T`; `None` where `T` is not an object of known fields (a `Value`, a map, an enum):
/// then the handler's own decoding is the only check.
pub(crate) fn derive<T: JsonSchema>() -> Option<ArgTypes> {
    let mut settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    closed_fields(schema.as_value(), 1)
}

/// The fields of an object that takes these and no others.
fn closed_fields(schema: &Value, depth: usize) -> Option<ArgTypes> {
    let open = schema
        .get("additionalProperties")
        .is_some_and(|more| more != &Value::Bool(false));
    let composed = ["oneOf", "anyOf", "allOf", "$ref", "patternProperties"]
        .iter()
        .any(|key| schema.get(*key).is_some());
    if open || composed || sole_type(schema) != Some("object") {
        return None;
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|r| r == name));
    let fields = schema.get("properties").and_then(Value::as_object);
    let types = fields
        .into_iter()
        .flatten()
        .map(|(name, field)| (name.clone(), spec(field, is_required(name), depth)))
        .collect();
    Some(ArgTypes(types))
}

/// One field. Only fields at depth 1 are args, and may have a default.
fn spec(field: &Value, required: bool, depth: usize) -> ArgSpec {
    let mut spec = ArgSpec::new(kind(without_null(field), depth));
    if depth == 1 {
        spec.default_value = field.get("default").filter(|d| fits(&spec, d)).cloned();
    }
    // A field with a default that the gateway cannot fill in is left to the handler.
    spec.allow_nil = takes_null(field) || (!required && spec.default_value.is_none());
    spec
}

/// Whether a default is one that the gateway would take: not null, and of the right type.
fn fits(spec: &ArgSpec, default: &Value) -> bool {
    let types = ArgTypes(vec![("x".to_owned(), spec.clone())]);
    let args = Payload::json(json!({ "x": default }).to_string());
    !default.is_null() && argument::check(Some(&types), args).is_ok()
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

/// The alternatives of a schema that is nothing but alternatives.
fn choices(schema: &Value) -> Option<&Vec<Value>> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    choices.as_array()
}

fn takes_null(schema: &Value) -> bool {
    let types = schema["type"].as_array();
    types.is_some_and(|types| types.iter().any(|t| t == "null"))
        || choices(schema).is_some_and(|choices| choices.iter().any(is_null))
}

/// What a schema is besides null: `Option<Struct>` is "the struct, or null".
fn without_null(schema: &Value) -> &Value {
    let Some(choices) = choices(schema) else {
        return schema;
    };
    let mut others = choices.iter().filter(|choice| !is_null(choice));
    match (others.next(), others.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

/// The one type besides null that a schema names, if it names one.
fn sole_type(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut others = kinds.iter().filter_map(Value::as_str);
            let mut others = others.by_ref().filter(|kind| *kind != "null");
            let first = others.next()?;
            others.next().is_none().then_some(first)
        }
        _ => None,
    }
}

fn kind(schema: &Value, depth: usize) -> ArgKind {
    if let Some(values) = strings(schema) {
        return ArgKind::Enum { values };
    }
    match sole_type(schema) {
        Some("string") => string(schema),
        Some("integer") => ArgKind::Integer {
            min: bound(schema, "minimum", "exclusiveMinimum", 1),
            max: bound(schema, "maximum", "exclusiveMaximum", -1),
        },
        Some("number") => number(schema),
        Some("boolean") => ArgKind::Boolean,
        // Deeper than the protocol goes, the handler's own decoding checks.
        Some("array" | "object") if depth >= MAX_TYPE_DEPTH => ArgKind::Any,
        Some("array") => list(schema, depth),
        Some("object") => object(schema, depth),
        _ => ArgKind::Any,
    }
}

/// The values of an enum of names, with or without doc comments on its variants.
fn strings(schema: &Value) -> Option<Vec<String>> {
    let values = match schema.get("enum").and_then(Value::as_array) {
        Some(values) => values.iter().filter(|v| !v.is_null()).collect(),
        None => {
            let mut values = Vec::new();
            for choice in schema.get("oneOf")?.as_array()? {
                match (choice.get("const"), strings(choice)) {
                    (Some(value), _) => values.push(value),
                    (None, Some(_)) => values.extend(choice["enum"].as_array()?),
                    (None, None) => return None,
                }
            }
            values
        }
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    values.into_iter().map(text).collect()
}

fn string(schema: &Value) -> ArgKind {
    // `maxLength` counts characters, of at most four bytes each.
    let max_bytes =
        size(schema, "maxLength").map_or(DEFAULT_STRING_BYTES, |chars| chars.saturating_mul(4));
    match schema["format"].as_str() {
        Some("uuid") => return ArgKind::Uuid,
        Some("date-time") => return ArgKind::Datetime,
        Some("partial-date-time") => return ArgKind::NaiveDatetime,
        _ => {}
    }
    // Ours describe a whole string. Others, and syntax that is not ours, are left to the handler.
    let whole = schema["pattern"].as_str().and_then(|expression| {
        let inner = expression.strip_prefix('^')?.strip_suffix('$')?;
        Pattern::new(inner).ok().filter(|_| !inner.ends_with('\\'))
    });
    match whole {
        Some(pattern) => ArgKind::Pattern { max_bytes, pattern },
        None => ArgKind::String { max_bytes },
    }
}

fn number(schema: &Value) -> ArgKind {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    match (min, max) {
        (None, None) => ArgKind::Num,
        (min, max) => ArgKind::NumBetween { min, max },
    }
}

fn bound(schema: &Value, inclusive: &str, exclusive: &str, step: i64) -> Option<i64> {
    let beyond = || schema[exclusive].as_i64()?.checked_add(step);
    schema[inclusive].as_i64().or_else(beyond)
}

fn list(schema: &Value, depth: usize) -> ArgKind {
    // Tuples name a type for each place.
    if schema.get("prefixItems").is_some() {
        return ArgKind::Any;
    }
    let item = match schema.get("items") {
        Some(item) if item.is_object() => spec(item, true, depth + 1),
        _ => ArgSpec {
            allow_nil: true,
            ..ArgSpec::new(ArgKind::Any)
        },
    };
    ArgKind::List {
        items: Items::Of(Box::new(item)),
        max_items: size(schema, "maxItems").unwrap_or(DEFAULT_LIST_ITEMS),
    }
}

fn object(schema: &Value, depth: usize) -> ArgKind {
    match closed_fields(schema, depth + 1) {
        Some(fields) if schema.get("properties").is_some() => ArgKind::Object { fields },
        _ => {
            let max_items = size(schema, "maxProperties").unwrap_or(DEFAULT_LIST_ITEMS);
            ArgKind::Map(MapRule::free(max_items))
        }
    }
}

fn size(schema: &Value, name: &str) -> Option<usize> {
    schema[name].as_u64().and_then(|n| usize::try_from(n).ok())
}

#[cfg(test)]
mod tests;
