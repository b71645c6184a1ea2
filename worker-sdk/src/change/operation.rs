//! Declared changes, put together in code. What is wrong with them is said when the worker starts.

use serde_json::{Value, json};

/// A change that the gateway runs: operations on requests, and on results.
#[derive(Debug, Clone)]
#[must_use]
pub struct Declared(Value);

impl Declared {
    /// A change of these functions; `["*"]` is all of the service.
    pub fn new<'a>(name: &str, functions: impl IntoIterator<Item = &'a str>) -> Self {
        let functions: Vec<&str> = functions.into_iter().collect();
        Self(json!({ "name": name, "functions": functions }))
    }

    /// A change as it stands in a config, for what is kept in files.
    pub fn from_json(change: Value) -> Self {
        Self(change)
    }

    /// For people.
    pub fn description(mut self, text: &str) -> Self {
        self.0["description"] = text.into();
        self
    }

    /// What becomes of args.
    pub fn request(self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.part("body", operations)
    }

    /// What becomes of the query of a route.
    pub fn query(self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.part("query", operations)
    }

    /// What becomes of the parameters in the path of a route.
    pub fn path(self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.part("path", operations)
    }

    /// What becomes of results, in the order in which it is done.
    pub fn response(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.0["response"] = list(operations);
        self
    }

    /// Results have what requests have, at each of these places (`""`: the whole result, `/data/*`:
    /// each of a list): they pass the reverse of [`Self::request`] there.
    pub fn reverse_at<'a>(mut self, places: impl IntoIterator<Item = &'a str>) -> Self {
        let places: Vec<&str> = places.into_iter().collect();
        self.0["response"] = json!({ "reverse": places });
        self
    }

    fn part(mut self, part: &str, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.0["request"][part] = list(operations);
        self
    }

    pub(super) fn into_json(self) -> Value {
        self.0
    }
}

fn list(operations: impl IntoIterator<Item = Operation>) -> Value {
    operations.into_iter().map(|o| o.0).collect()
}

/// One operation of a [`Declared`] change. Where a value has another shape than it expects, it does
/// nothing.
#[derive(Debug, Clone)]
#[must_use]
pub struct Operation(Value);

impl Operation {
    /// Gives a field another name.
    pub fn rename(from: &str, to: &str) -> Self {
        Self(json!({ "op": "rename", "from": from, "to": to }))
    }

    /// Puts a value elsewhere, `/owner_id` to `/owner/id`, making objects on the way.
    pub fn move_to(from: &str, to: &str) -> Self {
        Self(json!({ "op": "move", "from": from, "to": to }))
    }

    /// The same, and objects that are left empty on the way to `from` go.
    pub fn move_and_prune(from: &str, to: &str) -> Self {
        Self(json!({ "op": "move", "from": from, "to": to, "prune": true }))
    }

    /// Puts a value where there is none.
    pub fn default(path: &str, value: impl Into<Value>) -> Self {
        Self(json!({ "op": "default", "path": path, "value": value.into() }))
    }

    /// Puts a value in any case.
    pub fn set(path: &str, value: impl Into<Value>) -> Self {
        Self(json!({ "op": "set", "path": path, "value": value.into() }))
    }

    /// Takes a value away.
    pub fn drop(path: &str) -> Self {
        Self(json!({ "op": "drop", "path": path }))
    }

    /// Puts other texts in place of the listed ones.
    pub fn map_values<'a>(
        path: &str,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let values = values
            .into_iter()
            .map(|(old, new)| (old.to_owned(), new.into()));
        let values: serde_json::Map<String, Value> = values.collect();
        Self(json!({ "op": "map_values", "path": path, "values": values }))
    }

    /// Puts a value into an object of its own: `3` becomes `{"id": 3}`.
    pub fn wrap(path: &str, key: &str) -> Self {
        Self(json!({ "op": "wrap", "path": path, "key": key }))
    }

    /// Puts a value into a list of its own.
    pub fn wrap_in_list(path: &str) -> Self {
        Self(json!({ "op": "wrap", "path": path }))
    }

    /// What undoes [`Self::wrap`].
    pub fn unwrap(path: &str, key: &str) -> Self {
        Self(json!({ "op": "unwrap", "path": path, "key": key }))
    }

    /// The first of a list takes the place of the list.
    pub fn unwrap_list(path: &str) -> Self {
        Self(json!({ "op": "unwrap", "path": path }))
    }

    /// Splits a text into fields beside it; the last gets what is left.
    pub fn split<'a>(path: &str, into: impl IntoIterator<Item = &'a str>, by: &str) -> Self {
        let into: Vec<&str> = into.into_iter().collect();
        Self(json!({ "op": "split", "path": path, "into": into, "by": by }))
    }

    /// Joins the texts of fields into one.
    pub fn join<'a>(from: impl IntoIterator<Item = &'a str>, path: &str, by: &str) -> Self {
        let from: Vec<&str> = from.into_iter().collect();
        Self(json!({ "op": "join", "from": from, "path": path, "by": by }))
    }

    /// Where it works: in the object at this place, `/data/*` in each of a list. Otherwise in the
    /// whole value.
    pub fn at(mut self, place: &str) -> Self {
        self.0["at"] = place.into();
        self
    }
}
