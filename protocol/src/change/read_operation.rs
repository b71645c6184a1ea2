//! Operations as a service registers them.

use serde_json::{Map, Value};

use super::operation::{Action, Literal, Operation};
use super::pointer::Pointer;
use super::read::{Faults, MAX_OPERATIONS, list_of};
use crate::suggest::did_you_mean;

/// The largest literal of `default` and `set`, in bytes of its JSON.
const MAX_LITERAL_BYTES: usize = 4096;
/// The most values of `map_values`.
const MAX_VALUES: usize = 500;
/// The most fields of `split` and `join`.
const MAX_FIELDS: usize = 16;
const MAX_KEY_BYTES: usize = 128;

const NAMES: [&str; 10] = [
    "rename",
    "move",
    "default",
    "set",
    "drop",
    "map_values",
    "wrap",
    "unwrap",
    "split",
    "join",
];

/// A list of operations.
pub(super) fn operations(value: &Value, faults: &mut Faults) -> Vec<Operation> {
    list_of(value, faults, ("operations", MAX_OPERATIONS), operation)
}

fn operation(value: &Value, faults: &mut Faults) -> Option<Operation> {
    let Some(map) = value.as_object() else {
        faults.add("must be an object with \"op\"");
        return None;
    };
    let name = faults.required(map, "op")?.as_str().unwrap_or_default();
    let fields: &[&str] = match name {
        "rename" => &["op", "at", "from", "to"],
        "move" => &["op", "at", "from", "to", "prune"],
        "default" | "set" => &["op", "at", "path", "value"],
        "drop" => &["op", "at", "path"],
        "map_values" => &["op", "at", "path", "values"],
        "wrap" | "unwrap" => &["op", "at", "path", "key"],
        "split" => &["op", "at", "path", "into", "by"],
        "join" => &["op", "at", "from", "path", "by"],
        other => {
            let hint = did_you_mean(other, NAMES);
            let known = NAMES.join(", ");
            faults.within("op", |f| f.add(format!("must be one of {known}{hint}")));
            return None;
        }
    };
    faults.object(value, fields);
    let mut reader = Reader { map, faults };
    let at = match map.get("at") {
        Some(_) => reader.pointer("at", Pointer::parse),
        None => Some(Pointer::default()),
    };
    let action = reader.action(name);
    Some(Operation {
        at: at?,
        action: action?,
    })
}

struct Reader<'v, 'f> {
    map: &'v Map<String, Value>,
    faults: &'f mut Faults,
}

impl Reader<'_, '_> {
    fn action(&mut self, name: &str) -> Option<Action> {
        Some(match name {
            "rename" => {
                let (from, to) = (self.key("from"), self.key("to"));
                let (from, to) = (from?, to?);
                self.differ(from == to)?;
                Action::Rename { from, to }
            }
            "move" => {
                let (from, to) = (self.place("from"), self.place("to"));
                let prune = self.flag("prune");
                let (from, to) = (from?, to?);
                self.differ(from == to)?;
                Action::Move { from, to, prune }
            }
            "default" | "set" => {
                let (path, value) = (self.place("path"), self.literal());
                let (path, value) = (path?, value?);
                match name {
                    "set" => Action::Set { path, value },
                    _ => Action::Default { path, value },
                }
            }
            "drop" => Action::Drop {
                path: self.place("path")?,
            },
            "map_values" => {
                let (path, values) = (self.whole_or_place(), self.values());
                Action::MapValues {
                    path: path?,
                    values: values?,
                }
            }
            "wrap" | "unwrap" => {
                let path = self.whole_or_place();
                let key = match self.map.get("key") {
                    Some(_) => Some(self.key("key")?),
                    None => None,
                };
                let path = path?;
                match name {
                    "wrap" => Action::Wrap { path, key },
                    _ => Action::Unwrap { path, key },
                }
            }
            "split" => {
                let (path, into, by) = (self.place("path"), self.keys("into"), self.key("by"));
                Action::Split {
                    path: path?,
                    into: into?,
                    by: by?,
                }
            }
            _ => {
                let (from, path, by) = (self.keys("from"), self.place("path"), self.key("by"));
                Action::Join {
                    from: from?,
                    path: path?,
                    by: by?,
                }
            }
        })
    }

    fn differ(&mut self, same: bool) -> Option<()> {
        if same {
            self.faults.add("\"from\" and \"to\" are the same");
            return None;
        }
        Some(())
    }

    fn pointer(
        &mut self,
        name: &str,
        parse: fn(&str) -> Result<Pointer, String>,
    ) -> Option<Pointer> {
        let value = self.faults.required(self.map, name)?;
        self.faults
            .within(name, |f| match value.as_str().map(parse) {
                Some(Ok(pointer)) => Some(pointer),
                Some(Err(why)) => {
                    f.add(why);
                    None
                }
                None => {
                    f.add("must be a JSON Pointer");
                    None
                }
            })
    }

    /// A pointer to one field.
    fn place(&mut self, name: &str) -> Option<Pointer> {
        let pointer = self.pointer(name, Pointer::parse_plain)?;
        if pointer.is_root() {
            let text = "must name a field, as in \"/status\"";
            self.faults.within(name, |f| f.add(text));
            return None;
        }
        Some(pointer)
    }

    fn whole_or_place(&mut self) -> Option<Pointer> {
        match self.map.get("path") {
            None => Some(Pointer::default()),
            Some(_) => self.pointer("path", Pointer::parse_plain),
        }
    }

    fn key(&mut self, name: &str) -> Option<String> {
        let value = self.faults.required(self.map, name)?;
        self.faults.within(name, |f| f.text(value, MAX_KEY_BYTES))
    }

    fn keys(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.faults.required(self.map, name)?;
        self.faults.within(name, |f| {
            let keys: Option<Vec<String>> = value.as_array().and_then(|list| {
                let text = |key: &Value| Some(key.as_str()?.to_owned());
                list.iter().map(text).collect()
            });
            let fits = |key: &String| !key.is_empty() && key.len() <= MAX_KEY_BYTES;
            let different = |keys: &Vec<String>| {
                keys.iter()
                    .enumerate()
                    .all(|(i, key)| !keys[..i].contains(key))
            };
            let good = |keys: &Vec<String>| {
                (2..=MAX_FIELDS).contains(&keys.len()) && keys.iter().all(fits) && different(keys)
            };
            let keys = keys.filter(good);
            if keys.is_none() {
                f.add(format!(
                    "must be 2 to {MAX_FIELDS} different names of fields"
                ));
            }
            keys
        })
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.map.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.faults.within(name, |f| f.add("must be true or false"));
                false
            }
        }
    }

    fn literal(&mut self) -> Option<Literal> {
        let value = self.faults.required(self.map, "value")?.to_string();
        if value.len() > MAX_LITERAL_BYTES {
            let text = format!("must be at most {MAX_LITERAL_BYTES} bytes");
            self.faults.within("value", |f| f.add(text));
            return None;
        }
        Some(Literal(value))
    }

    fn values(&mut self) -> Option<Vec<(String, String)>> {
        let value = self.faults.required(self.map, "values")?;
        self.faults.within("values", |f| {
            let pairs: Option<Vec<(String, String)>> = value.as_object().and_then(|map| {
                let text = |(old, new): (&String, &Value)| {
                    let new = new.as_str().filter(|new| new.len() <= MAX_LITERAL_BYTES)?;
                    Some((old.clone(), new.to_owned()))
                };
                map.iter().map(text).collect()
            });
            let pairs = pairs.filter(|p| !p.is_empty() && p.len() <= MAX_VALUES);
            if pairs.is_none() {
                f.add(format!(
                    "must be an object of 1 to {MAX_VALUES} texts and their replacements"
                ));
            }
            pairs
        })
    }
}
