//! `arg_types` as JSON: the shortest form that reads back as the same.

use serde_json::{Map, Value, json};

use super::{ArgKind, ArgSpec, ArgTypes, DEFAULT_ITEMS, DEFAULT_STRING_BYTES, Items, MapRule};

/// An object of names and types.
pub(super) fn types(types: &ArgTypes) -> Value {
    let entries = types.0.iter();
    Value::Object(entries.map(|(name, s)| (name.clone(), spec(s))).collect())
}

fn spec(spec: &ArgSpec) -> Value {
    let mut options = Options(Map::new());
    let name = options.kind(&spec.kind);
    if spec.allow_nil {
        options.put("allow_nil", true);
    }
    if let Some(value) = spec.default_value.as_ref().filter(|v| !v.is_null()) {
        options.put("default_value", value.clone());
    }
    if options.0.is_empty() {
        return json!(name);
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(name));
    out.append(&mut options.0);
    Value::Object(out)
}

struct Options(Map<String, Value>);

impl Options {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn size(&mut self, name: &str, size: usize, default: usize) {
        if size != default {
            self.put(name, size);
        }
    }

    /// Adds the options of a kind and returns its name.
    fn kind(&mut self, kind: &ArgKind) -> &'static str {
        match kind {
            ArgKind::String { max_bytes } => {
                self.size("max_bytes", *max_bytes, DEFAULT_STRING_BYTES);
                "string"
            }
            ArgKind::Pattern { max_bytes, pattern } => {
                self.size("max_bytes", *max_bytes, DEFAULT_STRING_BYTES);
                self.put("pattern", pattern.as_str());
                "string"
            }
            ArgKind::Enum { values } => {
                self.put("enum", values.clone());
                "string"
            }
            ArgKind::Num => "num",
            ArgKind::NumBetween { min, max } => {
                self.bound("min", min.map(number));
                self.bound("max", max.map(number));
                "num"
            }
            ArgKind::Integer { min, max } => {
                self.bound("min", min.map(Value::from));
                self.bound("max", max.map(Value::from));
                "integer"
            }
            ArgKind::Boolean => "boolean",
            ArgKind::Uuid => "uuid",
            ArgKind::Datetime => "datetime",
            ArgKind::NaiveDatetime => "naive_datetime",
            ArgKind::List { items, max_items } => {
                self.size("max_items", *max_items, DEFAULT_ITEMS);
                self.items(items)
            }
            ArgKind::Map(rule) => self.map(rule),
            ArgKind::Object { fields } => {
                self.put("fields", types(fields));
                "object"
            }
            ArgKind::Any => "any",
        }
    }

    fn bound(&mut self, name: &str, bound: Option<Value>) {
        if let Some(bound) = bound {
            self.put(name, bound);
        }
    }

    fn items(&mut self, items: &Items) -> &'static str {
        let of = match items {
            Items::Scalars { max_item_bytes } => {
                self.size("max_item_bytes", *max_item_bytes, DEFAULT_STRING_BYTES);
                return "list";
            }
            Items::Of(of) => of,
        };
        match &of.kind {
            _ if of.allow_nil || of.default_value.is_some() => {}
            ArgKind::String { max_bytes } => {
                self.size("max_item_bytes", *max_bytes, DEFAULT_STRING_BYTES);
                return "list_string";
            }
            ArgKind::Num => return "list_num",
            ArgKind::Uuid => return "list_uuid",
            ArgKind::Map(rule) if *rule == MapRule::free(usize::MAX) => return "list_map",
            _ => {}
        }
        self.put("items", spec(of));
        "list"
    }

    fn map(&mut self, rule: &MapRule) -> &'static str {
        self.size("max_items", rule.max_items, DEFAULT_ITEMS);
        for (name, names) in [("required", &rule.required), ("accept", &rule.accept)] {
            if !names.is_empty() {
                self.put(name, names.clone());
            }
        }
        let limited = !self.0.is_empty();
        if rule.flat != limited {
            self.put("flat", rule.flat);
        }
        "map"
    }
}

/// `1`, not `1.0`: configs of people and of this crate look alike.
fn number(float: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of 53 bits")]
        return json!(float as i64);
    }
    json!(float)
}
