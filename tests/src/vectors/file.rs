//! Files of vectors, and the generators in them.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// One vector.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Its name, in reports and among the deviations.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// What goes in.
    pub input: Value,
    /// What comes out.
    pub expect: Value,
    /// `questionable` with its reason, `erlang_specific`.
    pub marks: Vec<String>,
}

/// Reads a file of vectors, its generators written out.
pub fn load(path: &Path) -> Result<Vec<Vector>> {
    let because = |e: &dyn std::fmt::Display| Error::because(path.display(), e);
    let text = std::fs::read_to_string(path).map_err(|e| because(&e))?;
    let rows: Vec<Value> = serde_json::from_str(&text).map_err(|e| because(&e))?;
    rows.into_iter()
        .map(|row| vector(row).map_err(|e| because(&e)))
        .collect()
}

fn vector(mut row: Value) -> std::result::Result<Vector, String> {
    let id = row["id"].as_str().ok_or("a vector has no id")?.to_owned();
    let mark = |name: &str| match &row[name] {
        Value::String(reason) => Some(format!("{name}: {reason}")),
        Value::Bool(true) => Some(name.to_owned()),
        _ => None,
    };
    let marks = ["questionable", "erlang_specific"];
    Ok(Vector {
        marks: marks.into_iter().filter_map(mark).collect(),
        title: row["title"].as_str().unwrap_or_default().to_owned(),
        input: expand(row["input"].take()).map_err(|e| format!("{id}: {e}"))?,
        expect: expand(row["expect"].take()).map_err(|e| format!("{id}: {e}"))?,
        id,
    })
}

/// Writes out `$repeat`, `$range` and `$map_n`. What depends on its place stays: `$pair` (the
/// legacy form of a type), instants and zone-less times (compared by `moment`).
fn expand(value: Value) -> std::result::Result<Value, String> {
    match value {
        Value::Array(items) => items.into_iter().map(expand).collect(),
        Value::Object(map) => match generated(&map) {
            Some(value) => value.ok_or_else(|| format!("not a generator: {map:?}")),
            None => {
                let entries = map.into_iter().map(|(k, v)| Ok((k, expand(v)?)));
                let entries: std::result::Result<Map<String, Value>, String> = entries.collect();
                entries.map(Value::Object)
            }
        },
        plain => Ok(plain),
    }
}

/// What an object generates: `None` if it is no generator, `Some(None)` if it is a wrong one.
fn generated(map: &Map<String, Value>) -> Option<Option<Value>> {
    let (name, of) = map.iter().next().filter(|_| map.len() == 1)?;
    Some(match name.as_str() {
        "$repeat" => repeat(of),
        "$range" => range(of),
        "$map_n" => of.as_u64().map(|n| {
            let entries = (1..=n).map(|i| (format!("k{i}"), json!(i)));
            Value::Object(entries.collect())
        }),
        _ => return None,
    })
}

fn repeat(of: &Value) -> Option<Value> {
    let times = usize::try_from(of[1].as_u64()?).ok()?;
    Some(of[0].as_str()?.repeat(times).into())
}

fn range(of: &Value) -> Option<Value> {
    Some((of[0].as_i64()?..=of[1].as_i64()?).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.json");
        for (text, fault) in [
            ("[{\"id\": 1", "EOF while parsing"),
            ("{\"id\": \"a\"}", "expected a sequence"),
            ("[{\"title\": \"a\"}]", "a vector has no id"),
            (
                "[{\"id\": \"a\", \"input\": {\"$range\": 5}}]",
                "a: not a generator",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(
                error.contains("broken.json") && error.contains(fault),
                "{error}"
            );
        }
    }

    #[test]
    fn generators_are_written_out_at_any_depth() {
        let input = json!({
            "a": [{"$repeat": ["xy", 3]}], "b": {"c": {"$range": [-1, 2]}}, "d": {"$map_n": 2},
            "e": {"$detail_error": true}, "f": {"$repeat": ["x", 1], "g": 1}, "h": {"$pair": ["x", 2]},
        });
        let expanded = json!({
            "a": ["xyxyxy"], "b": {"c": [-1, 0, 1, 2]}, "d": {"k1": 1, "k2": 2},
            "e": {"$detail_error": true}, "f": {"$repeat": ["x", 1], "g": 1}, "h": {"$pair": ["x", 2]},
        });
        assert_eq!(expand(input).unwrap(), expanded);
        assert!(expand(json!({"$repeat": "x"})).is_err());
    }
}
