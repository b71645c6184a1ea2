//! What args a function takes: derived from a Rust type, or told by hand.
//!
//! All that knows about kinds of arguments stands in this file.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use sluice_protocol::argument::{ArgKind, ArgSpec, ArgTypes};

/// Most bytes of a string whose type names no limit of its own.
///
/// `#[schemars(length(max = n))]` on a field sets one, of n characters.
pub const DEFAULT_STRING_BYTES: usize = 1024 * 1024;

/// One argument, told by hand: for handlers whose args are a plain `serde_json::Value`.
///
/// ```
/// use serde_json::{Value, json};
/// use sluice_worker::{Arg, Function};
///
/// let search = Function::sync("search", async |args: Value| args["text"].clone()).args([
///     ("text", Arg::string().max_bytes(200)),
///     ("limit", Arg::num().default(json!(10))),
///     ("filter", Arg::any().optional()),
/// ]);
/// # let _ = search;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Arg(ArgSpec);

impl Arg {
    fn of(kind: ArgKind) -> Self {
        Self(ArgSpec {
            kind,
            allow_nil: false,
            default_value: None,
        })
    }

    /// A string of at most [`DEFAULT_STRING_BYTES`].
    pub fn string() -> Self {
        Self::of(ArgKind::String {
            max_bytes: DEFAULT_STRING_BYTES,
        })
    }

    /// Any number.
    pub fn num() -> Self {
        Self::of(ArgKind::Num)
    }

    /// True or false.
    pub fn boolean() -> Self {
        Self::of(ArgKind::Boolean)
    }

    /// Anything but null.
    pub fn any() -> Self {
        Self::of(ArgKind::Any)
    }

    /// A kind of argument of the protocol that has no function of its own here.
    pub fn kind(kind: ArgKind) -> Self {
        Self::of(kind)
    }

    /// Most bytes of a string; means nothing for other kinds.
    pub fn max_bytes(mut self, max: usize) -> Self {
        if let ArgKind::String { max_bytes } = &mut self.0.kind {
            *max_bytes = max;
        }
        self
    }

    /// It may be absent or null.
    pub fn optional(mut self) -> Self {
        self.0.allow_nil = true;
        self
    }

    /// What stands in when it is absent.
    pub fn default(mut self, value: Value) -> Self {
        self.0.default_value = Some(value);
        self
    }

    pub(crate) fn into_spec(self) -> ArgSpec {
        self.0
    }
}

/// The args of `T` as its JSON Schema tells them; `None` where `T` is not an object of known
/// fields (a `Value`, a map, an enum): then the handler's own decoding is the only check.
pub(crate) fn derive<T: JsonSchema>() -> Option<ArgTypes> {
    let mut settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let schema = schema.as_object()?;
    let open = schema
        .get("additionalProperties")
        .is_some_and(|more| more != &Value::Bool(false));
    let composed = ["oneOf", "anyOf", "allOf", "$ref", "patternProperties"]
        .iter()
        .any(|key| schema.contains_key(*key));
    if open || composed || schema.get("type").and_then(Value::as_str) != Some("object") {
        return None;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let none = Map::new();
    let fields = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    Some(ArgTypes(
        fields
            .iter()
            .map(|(name, field)| {
                let spec = field_spec(field, required.contains(&name.as_str()));
                (name.clone(), spec)
            })
            .collect(),
    ))
}

fn field_spec(field: &Value, required: bool) -> ArgSpec {
    let default_value = field.get("default").filter(|d| !d.is_null()).cloned();
    ArgSpec {
        kind: field_kind(field),
        // A field with a default that nobody can tell must be left to the handler.
        allow_nil: takes_null(field) || (!required && default_value.is_none()),
        default_value,
    }
}

fn takes_null(field: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    let in_types = field["type"]
        .as_array()
        .is_some_and(|t| t.iter().any(is_null));
    let in_choices = ["anyOf", "oneOf"].iter().any(|key| {
        let choices = field[key].as_array();
        choices.is_some_and(|c| c.iter().any(|choice| is_null(&choice["type"])))
    });
    in_types || in_choices
}

/// The one type besides null that a field has, if it has one.
fn sole_type(field: &Value) -> Option<&str> {
    match &field["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut others = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|k| *k != "null");
            let first = others.next()?;
            others.next().is_none().then_some(first)
        }
        _ => None,
    }
}

fn field_kind(field: &Value) -> ArgKind {
    match sole_type(field) {
        Some("string") => ArgKind::String {
            max_bytes: string_bytes(field),
        },
        Some("integer" | "number") => ArgKind::Num,
        Some("boolean") => ArgKind::Boolean,
        _ => ArgKind::Any,
    }
}

/// `maxLength` counts characters, of at most four bytes each.
fn string_bytes(field: &Value) -> usize {
    field["maxLength"]
        .as_u64()
        .and_then(|chars| usize::try_from(chars).ok())
        .map_or(DEFAULT_STRING_BYTES, |chars| chars.saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Everything {
        name: String,
        #[schemars(length(max = 10))]
        short: String,
        age: u8,
        ratio: Option<f64>,
        ok: bool,
        #[serde(default = "ten")]
        limit: u32,
        #[serde(default, skip_serializing)]
        secret_default: Untold,
        tags: Vec<String>,
        any: Value,
        choice: Option<Choice>,
        #[serde(rename = "renamed")]
        original: String,
    }

    #[derive(Default, Deserialize, JsonSchema)]
    struct Untold {}

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        A,
        B,
    }

    fn ten() -> u32 {
        10
    }

    #[test]
    fn a_struct_tells_its_args_in_order() {
        let types = derive::<Everything>().unwrap().0;
        let text = |max_bytes| ArgKind::String { max_bytes };
        let expected = [
            ("name", text(DEFAULT_STRING_BYTES), false, None),
            ("short", text(40), false, None),
            ("age", ArgKind::Num, false, None),
            ("ratio", ArgKind::Num, true, None),
            ("ok", ArgKind::Boolean, false, None),
            ("limit", ArgKind::Num, false, Some(json!(10))),
            ("secret_default", ArgKind::Any, true, None),
            ("tags", ArgKind::Any, false, None),
            ("any", ArgKind::Any, false, None),
            ("choice", text(DEFAULT_STRING_BYTES), true, None),
            ("renamed", text(DEFAULT_STRING_BYTES), false, None),
        ];
        for (field, (name, kind, allow_nil, default_value)) in types.iter().zip(expected) {
            let spec = ArgSpec {
                kind,
                allow_nil,
                default_value,
            };
            assert_eq!(field, &(name.to_owned(), spec));
        }
        assert_eq!(types.len(), 11);
    }

    #[test]
    fn types_without_known_fields_are_not_checked() {
        assert_eq!(derive::<Value>(), None);
        assert_eq!(derive::<BTreeMap<String, u8>>(), None);
        assert_eq!(derive::<Choice>(), None);
        assert_eq!(derive::<Untold>(), Some(ArgTypes::default()));
    }
}
