//! `arg_types` as a worker registers them: read, and every mistake told.

use serde_json::{Map, Value};

use super::options::Options;
use super::path::{Path, shorten};
use super::pattern::Pattern;
use super::rule::Rule;
use super::{
    ArgKind, ArgSpec, ArgTypes, DEFAULT_ITEMS, Fault, Items, MAX_FIELDS, MAX_TYPE_DEPTH, MapRule,
    category, walk,
};
use crate::suggest::did_you_mean;

/// What a whole config may still use.
pub(crate) struct Budget {
    /// Regular expressions: each takes memory for as long as the config is known.
    patterns: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { patterns: 500 }
    }
}

const TYPES: [&str; 15] = [
    "string",
    "num",
    "integer",
    "boolean",
    "uuid",
    "datetime",
    "naive_datetime",
    "list",
    "list_string",
    "list_num",
    "list_uuid",
    "list_map",
    "map",
    "object",
    "any",
];

/// The options that go with a type, besides those that go with all.
fn options_of(name: &str) -> &'static [&'static str] {
    match name {
        "string" => &["max_bytes", "pattern", "enum"],
        "num" | "integer" => &["min", "max"],
        "list" => &["max_items", "max_item_bytes", "items"],
        "list_string" => &["max_items", "max_item_bytes"],
        "list_num" | "list_uuid" | "list_map" => &["max_items"],
        "map" => &["max_items", "required", "accept", "flat"],
        "object" => &["fields"],
        _ => &[],
    }
}

/// Reads `arg_types`.
pub(super) fn read(value: &Value, budget: &mut Budget) -> Result<ArgTypes, Vec<Fault>> {
    let mut reader = Reader {
        faults: Vec::new(),
        depth: 0,
        budget,
    };
    let types = reader.types(Path::Root, value);
    if reader.faults.is_empty() {
        Ok(types)
    } else {
        Err(reader.faults)
    }
}

/// What was found so far.
pub(super) struct Reader<'b> {
    faults: Vec<Fault>,
    depth: usize,
    budget: &'b mut Budget,
}

impl Reader<'_> {
    pub(super) fn fault(&mut self, path: Path<'_>, message: impl Into<String>) {
        self.faults.push(Fault {
            path: path.pointer(),
            category: category::SPEC,
            message: message.into(),
        });
    }

    fn types(&mut self, path: Path<'_>, value: &Value) -> ArgTypes {
        let Value::Object(map) = value else {
            self.fault(path, "must be an object of argument names and types");
            return ArgTypes::default();
        };
        if map.len() > MAX_FIELDS {
            let message = format!("must be at most {MAX_FIELDS} arguments, got {}", map.len());
            self.fault(path, message);
        }
        let mut types = Vec::new();
        for (name, value) in map {
            let path = Path::Key(&path, name);
            if let Err(e) = crate::id::check("an argument's name", name) {
                self.fault(path, e.to_string());
            }
            if let Some(spec) = self.nested(path, value) {
                types.push((name.clone(), spec));
            }
        }
        ArgTypes(types)
    }

    fn nested(&mut self, path: Path<'_>, value: &Value) -> Option<ArgSpec> {
        self.depth += 1;
        let spec = if self.depth > MAX_TYPE_DEPTH {
            let message = format!("nested too deep: max {MAX_TYPE_DEPTH} levels");
            self.fault(path, message);
            None
        } else {
            self.arg(path, value)
        };
        self.depth -= 1;
        spec
    }

    fn arg(&mut self, path: Path<'_>, value: &Value) -> Option<ArgSpec> {
        let (name, map) = match value {
            Value::String(name) => (name.as_str(), None),
            Value::Object(map) => match map.get("type") {
                Some(Value::String(name)) => (name.as_str(), Some(map)),
                _ => {
                    self.fault(path, "needs a \"type\" with the name of one");
                    return None;
                }
            },
            _ => {
                self.fault(
                    path,
                    "must be the name of a type, or an object with \"type\"",
                );
                return None;
            }
        };
        if !TYPES.contains(&name) {
            let hint = did_you_mean(name, TYPES);
            let message = format!(
                "unknown type {:?}{hint} (types: {})",
                shorten(name),
                TYPES.join(", ")
            );
            self.fault(path, message);
            return None;
        }
        let options = Options { map, path };
        self.unknown_options(name, options);
        let kind = self.kind(name, options)?;
        let mut spec = ArgSpec::new(kind);
        spec.allow_nil = self.flag(options, "allow_nil").unwrap_or(false);
        self.default_value(options, &mut spec);
        Some(spec)
    }

    fn unknown_options(&mut self, name: &str, options: Options<'_, '_>) {
        let known = || {
            let common = ["type", "allow_nil", "default_value"];
            options_of(name).iter().copied().chain(common)
        };
        for option in options.map.into_iter().flat_map(Map::keys) {
            if !known().any(|k| k == option) {
                let hint = did_you_mean(option, known());
                let message = format!("is no option of type {name}{hint}");
                self.fault(Path::Key(&options.path, option), message);
            }
        }
    }

    fn default_value(&mut self, options: Options<'_, '_>, spec: &mut ArgSpec) {
        let Some(value) = options.get("default_value").filter(|v| !v.is_null()) else {
            return;
        };
        let path = Path::Key(&options.path, "default_value");
        if self.depth > 1 {
            self.fault(path, "is for arguments at the top level only");
        }
        for fault in walk::value(Rule::Spec(spec), value) {
            self.faults.push(Fault {
                path: path.pointer() + &fault.path,
                category: category::SPEC,
                message: fault.message,
            });
        }
        spec.default_value = Some(value.clone());
    }

    fn kind(&mut self, name: &str, options: Options<'_, '_>) -> Option<ArgKind> {
        let list = |items: Items, max_items| ArgKind::List { items, max_items };
        let of = |kind| Items::Of(Box::new(ArgSpec::new(kind)));
        Some(match name {
            "string" => self.string(options)?,
            "num" => self.num(options),
            "integer" => {
                let min = self.option(options, "min", "a whole number", Value::as_i64);
                let max = self.option(options, "max", "a whole number", Value::as_i64);
                self.ordered(options, min, max);
                ArgKind::Integer { min, max }
            }
            "boolean" => ArgKind::Boolean,
            "uuid" => ArgKind::Uuid,
            "datetime" => ArgKind::Datetime,
            "naive_datetime" => ArgKind::NaiveDatetime,
            "list" => list(self.items(options)?, self.max_items(options)),
            "list_string" => {
                let max_bytes = self.bytes(options, "max_item_bytes");
                list(of(ArgKind::String { max_bytes }), self.max_items(options))
            }
            "list_num" => list(of(ArgKind::Num), self.max_items(options)),
            "list_uuid" => list(of(ArgKind::Uuid), self.max_items(options)),
            "list_map" => {
                let any_object = ArgKind::Map(MapRule::free(usize::MAX));
                list(of(any_object), self.max_items(options))
            }
            "map" => ArgKind::Map(self.map(options)),
            "object" => ArgKind::Object {
                fields: self.fields(options),
            },
            _ => ArgKind::Any,
        })
    }

    fn string(&mut self, options: Options<'_, '_>) -> Option<ArgKind> {
        let max_bytes = self.bytes(options, "max_bytes");
        if options.get("enum").is_some() {
            for other in ["max_bytes", "pattern"] {
                if options.get(other).is_some() {
                    self.fault(Path::Key(&options.path, other), "does not go with \"enum\"");
                }
            }
            let values = self.names(options, "enum", DEFAULT_ITEMS);
            if values.is_empty() {
                self.fault(
                    Path::Key(&options.path, "enum"),
                    "must list at least one string",
                );
            }
            return Some(ArgKind::Enum { values });
        }
        if options.get("pattern").is_none() {
            return Some(ArgKind::String { max_bytes });
        }
        let path = Path::Key(&options.path, "pattern");
        let text = self.option(options, "pattern", "a regular expression", |v| {
            v.as_str().map(str::to_owned)
        })?;
        let Some(left) = self.budget.patterns.checked_sub(1) else {
            self.fault(path, "too many patterns: max 500 in one config");
            return None;
        };
        self.budget.patterns = left;
        match Pattern::new(&text) {
            Ok(pattern) => Some(ArgKind::Pattern { max_bytes, pattern }),
            Err(e) => {
                self.fault(path, e.to_string());
                None
            }
        }
    }

    fn num(&mut self, options: Options<'_, '_>) -> ArgKind {
        let min = self.option(options, "min", "a number", Value::as_f64);
        let max = self.option(options, "max", "a number", Value::as_f64);
        self.ordered(options, min, max);
        match (min, max) {
            (None, None) => ArgKind::Num,
            (min, max) => ArgKind::NumBetween { min, max },
        }
    }

    fn items(&mut self, options: Options<'_, '_>) -> Option<Items> {
        let max_item_bytes = self.bytes(options, "max_item_bytes");
        let Some(items) = options.get("items") else {
            return Some(Items::Scalars { max_item_bytes });
        };
        if options.get("max_item_bytes").is_some() {
            let path = Path::Key(&options.path, "max_item_bytes");
            self.fault(
                path,
                "does not go with \"items\": it belongs there, as \"max_bytes\"",
            );
        }
        let spec = self.nested(Path::Key(&options.path, "items"), items)?;
        Some(Items::Of(Box::new(spec)))
    }

    fn map(&mut self, options: Options<'_, '_>) -> MapRule {
        let limits = ["max_items", "required", "accept"];
        let limited = limits.iter().any(|name| options.get(name).is_some());
        let rule = MapRule {
            max_items: self.max_items(options),
            required: self.names(options, "required", MAX_FIELDS),
            accept: self.names(options, "accept", MAX_FIELDS),
            flat: self.flag(options, "flat").unwrap_or(limited),
        };
        let foreign = |name: &&String| !rule.accept.is_empty() && !rule.accept.contains(name);
        if let Some(name) = rule.required.iter().find(foreign) {
            let message = format!("{:?} is required but not accepted", shorten(name));
            self.fault(Path::Key(&options.path, "accept"), message);
        }
        rule
    }

    fn fields(&mut self, options: Options<'_, '_>) -> ArgTypes {
        match options.get("fields") {
            Some(fields) => self.types(Path::Key(&options.path, "fields"), fields),
            None => {
                self.fault(
                    options.path,
                    "needs \"fields\": an object of names and types",
                );
                ArgTypes::default()
            }
        }
    }
}
