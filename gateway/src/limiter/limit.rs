//! One limit, as it is written.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::key::Key;
use crate::pipeline::Caller;

const MAX_NAME_BYTES: usize = 64;
/// So that sums of counts fit everywhere.
const MOST: u64 = 1_000_000_000;
const MOST_WINDOW_MS: u64 = 31 * 24 * 3_600_000;
const FIELDS: [&str; 9] = [
    "name",
    "service",
    "function",
    "key",
    "max_requests",
    "window_ms",
    "cost",
    "shadow",
    "named_only",
];

/// How many calls a caller may make within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique; clients see it.
    pub name: Arc<str>,
    /// The calls of one service; absent: of all.
    pub service: Option<String>,
    /// The calls of one function of that service; absent: of all.
    pub function: Option<String>,
    /// By what callers are told apart.
    pub key: Key,
    /// Admitted within any window.
    pub max_requests: u32,
    /// The length of the window, milliseconds.
    pub window_ms: u64,
    /// What one call counts.
    pub cost: u32,
    /// Counts and reports, and admits all the same.
    pub shadow: bool,
    /// Applies to callers with an API key that names it, and to nobody else.
    pub named_only: bool,
}

/// Why a limit cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Reads fields and keeps what is wrong.
struct Fields<'a> {
    from: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl Fields<'_> {
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn text(&mut self, field: &str) -> Option<String> {
        match self.from.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => {
                self.fault(field, format!("expected text, got {other}"));
                None
            }
        }
    }

    fn number(&mut self, field: &str, least: u64, most: u64, default: Option<u64>) -> u64 {
        let value = self.from.get(field).filter(|v| !v.is_null());
        match (value, default) {
            (None, Some(default)) => default,
            (None, None) => {
                self.fault(field, "is missing");
                least
            }
            (Some(value), _) => match value.as_u64().filter(|n| (least..=most).contains(n)) {
                Some(number) => number,
                None => {
                    let message = format!("expected a number from {least} to {most}, got {value}");
                    self.fault(field, message);
                    least
                }
            },
        }
    }

    /// At most [`MOST`], which a `u32` holds.
    fn count(&mut self, field: &str, least: u64, default: Option<u64>) -> u32 {
        u32::try_from(self.number(field, least, MOST, default)).unwrap_or(u32::MAX)
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.from.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.fault(field, format!("expected true or false, got {other}"));
                false
            }
        }
    }
}

impl Limit {
    /// Reads a limit.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn from_json(value: &Value) -> Result<Self, Vec<Fault>> {
        let empty = Map::new();
        let mut fields = Fields {
            from: value.as_object().unwrap_or(&empty),
            faults: Vec::new(),
        };
        for name in fields.from.keys() {
            if !FIELDS.contains(&name.as_str()) {
                let message = format!("unknown field; a limit has {}", FIELDS.join(", "));
                fields.fault(name, message);
            }
        }
        let name = name(&mut fields);
        let key = key(&mut fields);
        let (service, function) = (fields.text("service"), fields.text("function"));
        if function.is_some() && service.is_none() {
            fields.fault("function", "stands without service");
        }
        let max_requests = fields.count("max_requests", 0, None);
        let window_ms = fields.number("window_ms", 1, MOST_WINDOW_MS, None);
        let cost = fields.count("cost", 1, Some(1));
        let shadow = fields.flag("shadow");
        let named_only = fields.flag("named_only");
        if cost > max_requests && max_requests > 0 {
            let message = format!("{cost} is more than max_requests: no call could pass");
            fields.fault("cost", message);
        }
        match key {
            Some(key) if fields.faults.is_empty() => Ok(Self {
                name: name.into(),
                service,
                function,
                key,
                max_requests,
                window_ms,
                cost,
                shadow,
                named_only,
            }),
            _ => Err(fields.faults),
        }
    }

    /// The limit as [`Self::from_json`] reads it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), (*self.name).into());
        for (field, text) in [("service", &self.service), ("function", &self.function)] {
            if let Some(text) = text {
                object.insert(field.to_owned(), text.as_str().into());
            }
        }
        object.insert("key".to_owned(), self.key.to_string().into());
        object.insert("max_requests".to_owned(), self.max_requests.into());
        object.insert("window_ms".to_owned(), self.window_ms.into());
        object.insert("cost".to_owned(), self.cost.into());
        object.insert("shadow".to_owned(), self.shadow.into());
        object.insert("named_only".to_owned(), self.named_only.into());
        object.into()
    }

    /// Whether calls of `caller` count.
    pub(super) fn concerns(&self, caller: &Caller) -> bool {
        !self.named_only
            || caller
                .limits
                .as_ref()
                .is_some_and(|names| names.iter().any(|name| **name == *self.name))
    }

    /// `global`, `service` or `function`.
    #[must_use]
    pub fn scope(&self) -> &'static str {
        match (&self.service, &self.function) {
            (None, _) => "global",
            (Some(_), None) => "service",
            (Some(_), Some(_)) => "function",
        }
    }
}

fn name(fields: &mut Fields<'_>) -> String {
    let Some(name) = fields.text("name") else {
        if fields.from.get("name").is_none_or(Value::is_null) {
            fields.fault("name", "is missing");
        }
        return String::new();
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.chars().all(plain) {
        let message = format!(
            "{name:?} is no name: 1 to {MAX_NAME_BYTES} letters, digits, dashes, underscores and dots"
        );
        fields.fault("name", message);
    }
    name
}

fn key(fields: &mut Fields<'_>) -> Option<Key> {
    match fields.text("key") {
        Some(text) => match text.parse() {
            Ok(key) => Some(key),
            Err(message) => {
                fields.fault("key", message);
                None
            }
        },
        None => {
            if fields.from.get("key").is_none_or(Value::is_null) {
                fields.fault("key", "is missing");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read_and_printed() {
        let full = json!({
            "name": "a", "service": "s", "function": "f", "key": "arg:tenant",
            "max_requests": 5, "window_ms": 1000, "cost": 2, "shadow": true,
            "named_only": true,
        });
        let limit = Limit::from_json(&full).unwrap();
        assert_eq!(limit.to_json(), full);
        assert_eq!(limit.scope(), "function");
        let short = json!({"name": "a", "key": "user_id", "max_requests": 0, "window_ms": 1});
        let limit = Limit::from_json(&short).unwrap();
        assert_eq!(
            (limit.cost, limit.shadow, limit.scope()),
            (1, false, "global")
        );
    }

    #[test]
    fn a_limit_of_named_keys_concerns_those_that_name_it() {
        let json = json!({
            "name": "gold", "key": "api_key", "max_requests": 1, "window_ms": 1,
            "named_only": true,
        });
        let limit = Limit::from_json(&json).unwrap();
        let caller = |names: &[&str]| Caller {
            limits: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Caller::default()
        };
        assert!(limit.concerns(&caller(&["silver", "gold"])));
        assert!(!limit.concerns(&caller(&["silver"])));
        assert!(!limit.concerns(&Caller::default()));
        let for_all = Limit {
            named_only: false,
            ..limit
        };
        assert!(for_all.concerns(&Caller::default()));
    }

    #[test]
    fn all_faults_at_once() {
        let bad = json!({
            "name": "a b", "function": "f", "key": "nobody", "max_requests": -1,
            "window_ms": 0, "shadow": 1, "limit": 3,
        });
        let faults = Limit::from_json(&bad).unwrap_err();
        let mut fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
        fields.sort_unstable();
        let all = [
            "function",
            "key",
            "limit",
            "max_requests",
            "name",
            "shadow",
            "window_ms",
        ];
        assert_eq!(fields, all);
        for bad in [json!(null), json!([]), json!({}), json!("x")] {
            assert!(Limit::from_json(&bad).unwrap_err().len() >= 4, "{bad}");
        }
        let costly =
            json!({"name": "a", "key": "all", "max_requests": 2, "window_ms": 1, "cost": 3});
        assert_eq!(Limit::from_json(&costly).unwrap_err()[0].field, "cost");
    }
}
