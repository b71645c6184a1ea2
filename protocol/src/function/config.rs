//! All functions of a service as one text.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::{FieldFault, FunctionSpec, Route, ServiceConfig, read, strict, translation};
use crate::argument::Budget;
use crate::change::Versions;
use crate::id::{MAX_ID_BYTES, ServiceName};
use crate::registry::Reason;
use crate::suggest::did_you_mean;
use crate::version::LATEST;

/// The longest config, in bytes of its text.
pub const MAX_CONFIG_BYTES: usize = 1024 * 1024;
/// Most functions of one service.
pub const MAX_FUNCTIONS: usize = 2000;
/// Most reasons that one refusal gives, so that it fits a message; the last says how many more
/// there are.
pub const MAX_REASONS: usize = 200;

/// The fields of a config.
const FIELDS: [&str; 2] = ["functions", "versions"];

/// Reads a config.
pub(super) fn parse(service: &ServiceName, text: &str) -> Result<ServiceConfig, Vec<Reason>> {
    let whole = |field: &str, message: String| Reason {
        function: String::new(),
        field: field.to_owned(),
        message,
    };
    if text.len() > MAX_CONFIG_BYTES {
        let got = text.len();
        let message = format!("must be at most {MAX_CONFIG_BYTES} bytes, got {got}");
        return Err(vec![whole("", message)]);
    }
    let value =
        strict::parse(text).map_err(|e| vec![whole("", format!("must be a JSON object: {e}"))])?;
    let Some(map) = value.as_object() else {
        return Err(vec![whole("", "must be a JSON object".to_owned())]);
    };
    let mut reasons = Vec::new();
    for name in map.keys().filter(|k| !FIELDS.contains(&k.as_str())) {
        let hint = did_you_mean(name, FIELDS);
        reasons.push(whole(name, format!("is no field of a config{hint}")));
    }
    let list = match map.get("functions").map(Value::as_array) {
        Some(Some(list)) if list.is_empty() => Err("must list at least one function".to_owned()),
        Some(Some(list)) if list.len() > MAX_FUNCTIONS => {
            let got = list.len();
            Err(format!(
                "must be at most {MAX_FUNCTIONS} functions, got {got}"
            ))
        }
        Some(Some(list)) => Ok(list.as_slice()),
        Some(None) => Err("must be a list of functions".to_owned()),
        None => Err("is missing: a list of functions".to_owned()),
    };
    let functions = match list {
        Ok(list) => functions(service, list, &mut reasons),
        Err(message) => {
            reasons.push(whole("functions", message));
            Vec::new()
        }
    };
    let versions = map.get("versions").map_or_else(
        || Ok(Versions::default()),
        |list| translation::read(list, &functions),
    );
    let versions = versions.unwrap_or_else(|faults| {
        reasons.extend(faults);
        Versions::default()
    });
    if reasons.is_empty() {
        return Ok(ServiceConfig {
            functions,
            versions,
        });
    }
    let more = reasons.len().saturating_sub(MAX_REASONS);
    if more > 0 {
        reasons.truncate(MAX_REASONS - 1);
        reasons.push(whole("", format!("and {} more mistakes", more + 1)));
    }
    Err(reasons)
}

fn functions(
    service: &ServiceName,
    list: &[Value],
    reasons: &mut Vec<Reason>,
) -> Vec<FunctionSpec> {
    let list: Vec<Cow<'_, Value>> = list.iter().map(without_latest).collect();
    let mut budget = Budget::default();
    let mut together = Together::default();
    let mut functions = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let value = value.as_ref();
        let label = label(service, index, value);
        let mut faults = together.name(value);
        match read::function(service, value, &mut budget) {
            Ok(spec) => {
                faults.extend(together.routes(&spec));
                functions.push(spec);
            }
            Err(found) => faults.extend(found),
        }
        reasons.extend(faults.into_iter().map(|fault| Reason {
            function: label.clone(),
            field: fault.field,
            message: fault.message,
        }));
    }
    functions
}

/// A function whose version is only a way to say "the latest" has none.
fn without_latest(value: &Value) -> Cow<'_, Value> {
    let latest = value["version"]
        .as_str()
        .is_some_and(|version| version.is_empty() || version == LATEST);
    let mut value = Cow::Borrowed(value);
    if latest {
        value.to_mut()["version"] = Value::Null;
    }
    value
}

/// How a function is called in reasons, also one that cannot be read.
fn label(service: &ServiceName, index: usize, value: &Value) -> String {
    match name_and_version(value) {
        None => format!("{service}.functions[{index}]"),
        Some((name, None)) => format!("{service}.{name}"),
        Some((name, Some(version))) => format!("{service}.{name}@{version}"),
    }
}

fn name_and_version(value: &Value) -> Option<(&str, Option<&str>)> {
    let text = |field: &str| {
        let text = value.get(field)?.as_str()?;
        (!text.is_empty() && text.len() <= MAX_ID_BYTES).then_some(text)
    };
    text("request_type").map(|name| (name, text("version")))
}

/// What the functions of one config must not have in common.
#[derive(Default)]
struct Together<'v> {
    names: HashMap<(&'v str, Option<&'v str>), usize>,
    // By the path's shape: the methods that functions have there, and which.
    routes: HashMap<String, Vec<(String, String)>>,
}

impl<'v> Together<'v> {
    fn name(&mut self, value: &'v Value) -> Vec<FieldFault> {
        let Some(name) = name_and_version(value) else {
            return Vec::new();
        };
        let count = self.names.entry(name).or_default();
        *count += 1;
        // Said once, however often it stands there.
        if *count != 2 {
            return Vec::new();
        }
        vec![FieldFault {
            field: "version".to_owned(),
            message: "this function stands here twice with this version".to_owned(),
        }]
    }

    fn routes(&mut self, spec: &FunctionSpec) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        for (index, text) in spec.routes.iter().enumerate() {
            let Ok(route) = Route::parse(text) else {
                continue;
            };
            let name = spec.request_type.as_str();
            // Versions of one function may share a route: the request says which one it wants.
            let there = self.routes.entry(route.path_shape()).or_default();
            let same =
                |method: &str| method == route.method || route.takes_any_method() || method == "*";
            let other = there
                .iter()
                .find(|(method, owner)| same(method) && owner != name);
            if let Some((_, owner)) = other {
                faults.push(FieldFault {
                    field: format!("routes/{index}"),
                    message: format!("{text:?} matches the same requests as a route of {owner}"),
                });
            }
            let own = (route.method.to_owned(), name.to_owned());
            if !there.contains(&own) {
                there.push(own);
            }
        }
        faults
    }
}

/// Prints a config.
pub(super) fn to_text(config: &ServiceConfig) -> String {
    let mut functions: Vec<&FunctionSpec> = config.functions.iter().collect();
    functions.sort_by(|a, b| (&a.request_type, &a.version).cmp(&(&b.request_type, &b.version)));
    let functions: Vec<Value> = functions.into_iter().map(FunctionSpec::to_json).collect();
    let mut out = json!({ "functions": functions });
    if !config.versions.is_empty() {
        out["versions"] = config.versions.to_json();
    }
    out.to_string()
}
