//! Versions as a service registers them: every mistake is told, at its place.

use serde_json::{Map, Value};

use super::read_operation::operations;
use super::{Change, Concerns, Operation, Pointer, RequestChange, Version, Versions};
use crate::argument::ArgTypes;
use crate::function::FieldFault;
use crate::id::FunctionName;
use crate::suggest::did_you_mean;
use crate::version::{ApiVersion, LATEST};

/// Most versions of a service.
pub const MAX_VERSIONS: usize = 100;
/// Most changes of all versions of a service.
pub const MAX_CHANGES: usize = 1000;
/// Most operations of one list.
pub const MAX_OPERATIONS: usize = 100;
/// Longest name of a change, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// Longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4096;

/// Mistakes, and where the reader is.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) all: Vec<FieldFault>,
    place: Vec<String>,
}

impl Faults {
    /// Reads something that stands below the present place.
    pub(super) fn within<T>(
        &mut self,
        name: impl ToString,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.place.push(name.to_string());
        let out = read(self);
        self.place.pop();
        out
    }

    pub(super) fn add(&mut self, message: impl Into<String>) {
        self.all.push(FieldFault {
            field: self.place.join("/"),
            message: message.into(),
        });
    }

    /// An object of these fields and no others.
    pub(super) fn object<'v>(
        &mut self,
        value: &'v Value,
        fields: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(map) = value.as_object() else {
            self.add("must be an object");
            return None;
        };
        for name in map.keys().filter(|name| !fields.contains(&name.as_str())) {
            let hint = did_you_mean(name, fields.iter().copied());
            self.within(name, |f| f.add(format!("is not known here{hint}")));
        }
        Some(map)
    }

    pub(super) fn required<'v>(
        &mut self,
        map: &'v Map<String, Value>,
        name: &str,
    ) -> Option<&'v Value> {
        let value = map.get(name);
        if value.is_none() {
            self.within(name, |f| f.add("is missing"));
        }
        value
    }

    /// A text of 1 to `max` bytes.
    pub(super) fn text(&mut self, value: &Value, max: usize) -> Option<String> {
        match value.as_str() {
            Some(text) if !text.is_empty() && text.len() <= max => Some(text.to_owned()),
            _ => {
                self.add(format!("must be a text of 1 to {max} bytes"));
                None
            }
        }
    }
}

pub(super) fn versions(value: &Value) -> Result<Versions, Vec<FieldFault>> {
    let mut faults = Faults::default();
    let mut all: Vec<Version> = Vec::new();
    match value.as_array() {
        None => faults.add("must be a list of versions, oldest first"),
        Some(list) if list.len() > MAX_VERSIONS => {
            faults.add(format!("must be at most {MAX_VERSIONS} versions"));
        }
        Some(list) => {
            for (index, value) in list.iter().enumerate() {
                let read = faults.within(index, |f| version(value, &all, f));
                all.extend(read);
            }
        }
    }
    if all.iter().map(|v| v.changes.len()).sum::<usize>() > MAX_CHANGES {
        faults.add(format!("must have at most {MAX_CHANGES} changes in all"));
    }
    if faults.all.is_empty() {
        Ok(Versions(all))
    } else {
        Err(faults.all)
    }
}

fn version(value: &Value, older: &[Version], faults: &mut Faults) -> Option<Version> {
    let map = faults.object(value, &["version", "changes", "arg_types"])?;
    let name = faults.required(map, "version");
    let name = name.and_then(|value| faults.within("version", |f| name_of(value, older, f)));
    let changes = map.get("changes").map_or_else(Vec::new, |list| {
        faults.within("changes", |f| {
            list_of(list, f, ("changes", MAX_CHANGES), change)
        })
    });
    let arg_types = map.get("arg_types").map_or_else(Vec::new, |types| {
        faults.within("arg_types", |f| arg_types(types, f))
    });
    Some(Version {
        version: name?,
        changes,
        arg_types,
    })
}

fn name_of(value: &Value, older: &[Version], faults: &mut Faults) -> Option<ApiVersion> {
    let named = |text: &&str| *text != LATEST && !text.is_empty();
    let Some(text) = value.as_str().filter(named) else {
        faults.add(format!("must be a text other than {LATEST:?}"));
        return None;
    };
    if older.iter().any(|v| v.version.as_str() == text) {
        faults.add(format!("{text:?} stands twice"));
        return None;
    }
    ApiVersion::new(text)
        .map_err(|e| faults.add(e.to_string()))
        .ok()
}

/// The items of a list of at most `most` things of this kind.
pub(super) fn list_of<T>(
    value: &Value,
    faults: &mut Faults,
    (what, most): (&str, usize),
    read: fn(&Value, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let Some(list) = value.as_array() else {
        faults.add(format!("must be a list of {what}"));
        return Vec::new();
    };
    if list.len() > most {
        faults.add(format!("must be at most {most} {what}"));
        return Vec::new();
    }
    let each = list.iter().enumerate();
    each.filter_map(|(index, value)| faults.within(index, |f| read(value, f)))
        .collect()
}

fn arg_types(value: &Value, faults: &mut Faults) -> Vec<(FunctionName, ArgTypes)> {
    let Some(map) = value.as_object() else {
        faults.add("must be an object of functions and their arg_types");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (name, types) in map {
        let read = faults.within(name, |f| {
            let function = function(name, f)?;
            match ArgTypes::from_json(types) {
                Ok(types) => Some((function, types)),
                Err(found) => {
                    for fault in found {
                        let place = fault.path.trim_start_matches('/').to_owned();
                        f.within(place, |f| f.add(fault.message));
                    }
                    None
                }
            }
        });
        all.extend(read);
    }
    all
}

fn function(name: &str, faults: &mut Faults) -> Option<FunctionName> {
    FunctionName::new(name)
        .map_err(|e| faults.add(e.to_string()))
        .ok()
}

fn change(value: &Value, faults: &mut Faults) -> Option<Change> {
    const FIELDS: [&str; 6] = [
        "name",
        "description",
        "functions",
        "request",
        "response",
        "code",
    ];
    let map = faults.object(value, &FIELDS)?;
    let name = faults.required(map, "name");
    let name = name.and_then(|v| faults.within("name", |f| f.text(v, MAX_NAME_BYTES)));
    let description = map.get("description").filter(|v| !v.is_null());
    let description = description
        .and_then(|v| faults.within("description", |f| f.text(v, MAX_DESCRIPTION_BYTES)));
    let functions = faults.required(map, "functions");
    let functions = functions.and_then(|v| faults.within("functions", |f| concerns(v, f)));
    let request = map.get("request").map_or_else(RequestChange::default, |v| {
        faults.within("request", |f| request(v, f))
    });
    let response = map.get("response").map_or_else(Vec::new, |v| {
        faults.within("response", |f| response(v, &request, f))
    });
    let code = match map.get("code") {
        None => false,
        Some(value) => value.as_bool().unwrap_or_else(|| {
            faults.within("code", |f| f.add("must be true or false"));
            false
        }),
    };
    if code && (request != RequestChange::default() || !response.is_empty()) {
        faults.add("is in code: what it does is not said here, leave request and response out");
    }
    Some(Change {
        name: name?,
        description,
        functions: functions?,
        request,
        response,
        code,
    })
}

fn concerns(value: &Value, faults: &mut Faults) -> Option<Concerns> {
    const RULE: &str = "must be a list of functions, or [\"*\"] for all";
    let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
        faults.add(RULE);
        return None;
    };
    if list.len() == 1 && list[0] == "*" {
        return Some(Concerns::All);
    }
    let mut names = Vec::with_capacity(list.len());
    for (index, name) in list.iter().enumerate() {
        let name = faults.within(index, |f| match name.as_str() {
            Some(name) => function(name, f),
            None => {
                f.add("must be the name of a function");
                None
            }
        });
        names.extend(name);
    }
    (names.len() == list.len()).then_some(Concerns::Only(names))
}

fn request(value: &Value, faults: &mut Faults) -> RequestChange {
    if value.is_array() {
        return RequestChange {
            body: operations(value, faults),
            ..RequestChange::default()
        };
    }
    let Some(map) = faults.object(value, &["body", "query", "path"]) else {
        return RequestChange::default();
    };
    let mut part = |name: &str| {
        map.get(name).map_or_else(Vec::new, |list| {
            faults.within(name, |f| operations(list, f))
        })
    };
    RequestChange {
        body: part("body"),
        query: part("query"),
        path: part("path"),
    }
}

/// A list of operations, or `{"reverse": ["/data", "/data/*"]}`: what undoes the body's operations
/// at each of those places.
fn response(value: &Value, request: &RequestChange, faults: &mut Faults) -> Vec<Operation> {
    if value.is_array() {
        return operations(value, faults);
    }
    let Some(map) = faults.object(value, &["reverse"]) else {
        return Vec::new();
    };
    let Some(list) = faults.required(map, "reverse").and_then(Value::as_array) else {
        faults.add("must be a list of operations, or {\"reverse\": [places]}");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (index, place) in list.iter().enumerate().take(MAX_OPERATIONS) {
        let place = faults.within("reverse", |f| {
            f.within(index, |f| match place.as_str().map(Pointer::parse) {
                Some(Ok(place)) => Some(place),
                Some(Err(why)) => {
                    f.add(why);
                    None
                }
                None => {
                    f.add("must be a JSON Pointer");
                    None
                }
            })
        });
        if let Some(place) = place {
            all.extend(reversed(request, &place, faults));
        }
    }
    if all.len() > MAX_OPERATIONS {
        faults.add(format!("must be at most {MAX_OPERATIONS} operations"));
    }
    all
}

fn reversed(request: &RequestChange, place: &Pointer, faults: &mut Faults) -> Vec<Operation> {
    let mut all = Vec::with_capacity(request.body.len());
    for operation in request.body.iter().rev() {
        match operation.reverse() {
            Some(mut reverse) => {
                reverse.at = place.join(&reverse.at);
                all.push(reverse);
            }
            None => faults
                .add("\"set\" and \"drop\" have no reverse: write the response's operations out"),
        }
    }
    all
}
