//! The values of single fields: what each may be, and the rule that is told if it is not.

use serde_json::Value;

use super::{Callback, ChooseNodeMode, FunctionSpec, Kind, ResponseType, Route, Timeout};
use crate::argument::ArgTypes;
use crate::id::{FunctionName, ServiceName};
use crate::suggest::did_you_mean;
use crate::version::{ApiVersion, LATEST};

/// The longest timeout, in milliseconds.
pub(super) const MAX_TIMEOUT_MS: u64 = 300_000;
const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Longer values are cut in messages.
const MAX_SHOWN_CHARS: usize = 60;

/// Whether a function can have this route.
pub(super) fn fits(route: Route<'_>, spec: &FunctionSpec) -> Result<(), String> {
    match (spec.is_resource(), route.takes_any_method()) {
        (true, false) => {
            return Err("a resource takes every method: name the path alone".to_owned());
        }
        (false, true) => {
            return Err("must name a method, such as \"GET /users/{id}\"".to_owned());
        }
        _ => {}
    }
    if matches!(route.method, "GET" | "HEAD") && !spec.idempotent {
        return Err("a GET route needs \"idempotent\": true".to_owned());
    }
    let Some(types) = &spec.arg_types else {
        return Ok(());
    };
    match route.params().find(|name| types.get(name).is_none()) {
        Some(name) => Err(format!("parameter {name:?} is not among arg_types")),
        None => Ok(()),
    }
}

/// Names that must be those of `types`, each once.
pub(super) fn order(names: &[Value], types: Option<&ArgTypes>) -> Result<Vec<String>, String> {
    let rule = || "must name each argument of arg_types exactly once".to_owned();
    let names: Option<Vec<String>> = names
        .iter()
        .map(|n| n.as_str().map(str::to_owned))
        .collect();
    let names = names.ok_or_else(rule)?;
    let Some(types) = types else {
        return Ok(names);
    };
    let mut given: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut declared: Vec<&str> = types.names().collect();
    given.sort_unstable();
    declared.sort_unstable();
    if given == declared {
        Ok(names)
    } else {
        Err(rule())
    }
}

pub(super) fn choose_node_mode(value: &Value) -> Result<ChooseNodeMode, String> {
    let key = |name| {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        let key = map.get(name)?.as_str()?;
        (!key.is_empty()).then(|| key.to_owned())
    };
    match value.as_str() {
        Some("random") => return Ok(ChooseNodeMode::Random),
        Some("hash") => return Ok(ChooseNodeMode::Hash),
        Some("round_robin") => return Ok(ChooseNodeMode::RoundRobin),
        Some("least_loaded") => return Ok(ChooseNodeMode::LeastLoaded),
        _ => {}
    }
    key("hash")
        .map(ChooseNodeMode::HashArg)
        .or_else(|| key("sticky").map(ChooseNodeMode::Sticky))
        .ok_or_else(|| {
            "must be \"random\", \"hash\", \"round_robin\", \"least_loaded\", {\"hash\": arg} or \
             {\"sticky\": arg}"
                .to_owned()
        })
}

pub(super) fn timeout(value: &Value) -> Result<Timeout, String> {
    if value == "infinity" {
        return Ok(Timeout::Infinity);
    }
    whole(value, 100, MAX_TIMEOUT_MS)
        .map(Timeout::Millis)
        .map_err(|rule| rule + ", or \"infinity\"")
}

pub(super) fn response_type(value: &Value) -> Result<ResponseType, String> {
    match value.as_str() {
        Some("sync") => Ok(ResponseType::Sync),
        Some("async") => Ok(ResponseType::Async),
        Some("stream") => Ok(ResponseType::Stream),
        Some("none") => Ok(ResponseType::None),
        _ => Err("must be \"sync\", \"async\", \"stream\" or \"none\"".to_owned()),
    }
}

pub(super) fn kind(value: &Value) -> Result<Kind, String> {
    match value.as_str() {
        Some("function") => Ok(Kind::Function),
        Some("resource") => Ok(Kind::Resource),
        _ => Err("must be \"function\" or \"resource\"".to_owned()),
    }
}

pub(super) fn version(value: &Value) -> Result<ApiVersion, String> {
    let rule = || format!("must be null or a non-empty string other than {LATEST:?}");
    let text = value.as_str().filter(|v| !v.is_empty() && *v != LATEST);
    ApiVersion::new(text.ok_or_else(rule)?).map_err(|e| e.to_string())
}

pub(super) fn callback(value: &Value) -> Result<Callback, String> {
    const FORMS: &str = "must be null, \"service.function\", or an object with \"function\" and \
                         \"extra\"";
    let of = |service: &str, name: &str, extra: Option<&Value>| {
        Ok(Callback {
            service: ServiceName::new(service).map_err(|e| e.to_string())?,
            request_type: FunctionName::new(name).map_err(|e| e.to_string())?,
            extra: extra.filter(|e| !e.is_null()).cloned(),
        })
    };
    let split = |text: &str, extra| match text.rsplit_once('.') {
        Some((service, name)) => of(service, name, extra),
        None => Err(FORMS.to_owned()),
    };
    match value {
        Value::String(text) => split(text, None),
        Value::Object(map) => {
            let known = ["function", "service", "extra"];
            if let Some(other) = map.keys().find(|k| !known.contains(&k.as_str())) {
                let hint = did_you_mean(other, known);
                return Err(format!("has no {:?}{hint}", cut(other)));
            }
            match (map.get("service"), map.get("function")) {
                (None, Some(Value::String(text))) => split(text, map.get("extra")),
                (Some(Value::String(service)), Some(Value::String(name))) => {
                    of(service, name, map.get("extra"))
                }
                _ => Err(FORMS.to_owned()),
            }
        }
        _ => Err(FORMS.to_owned()),
    }
}

pub(super) fn description(value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|t| t.len() <= MAX_DESCRIPTION_BYTES);
    text.map(str::to_owned)
        .ok_or_else(|| format!("must be a string of at most {MAX_DESCRIPTION_BYTES} bytes"))
}

pub(super) fn result_schema(value: &Value) -> Result<Value, String> {
    if value.is_object() || value.is_boolean() {
        return Ok(value.clone());
    }
    Err("must be a JSON Schema: an object or a boolean".to_owned())
}

/// A whole number within bounds.
pub(super) fn whole(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let number = value.as_u64().filter(|n| (min..=max).contains(n));
    number.ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

/// A value as text that fits a message.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A text that fits a message.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
