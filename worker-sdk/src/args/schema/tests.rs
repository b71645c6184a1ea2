use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_protocol::argument::check;

use super::*;

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
struct Everything {
    name: String,
    #[schemars(length(max = 10))]
    short: String,
    #[schemars(regex(pattern = "^[a-z]+$"))]
    word: String,
    #[schemars(regex(pattern = "x"))]
    some_x: String,
    age: u8,
    big: u64,
    #[schemars(range(min = 1, max = 5))]
    stars: i32,
    ratio: Option<f64>,
    ok: bool,
    #[serde(default = "ten")]
    limit: u32,
    #[serde(default, skip_serializing)]
    untold: Untold,
    tags: Vec<String>,
    deep: Option<Deep>,
    labels: BTreeMap<String, u8>,
    any: Value,
    choice: Option<Choice>,
    described: Described,
    pair: (u8, String),
    #[serde(rename = "renamed")]
    original: String,
}

#[derive(Default, Deserialize, JsonSchema)]
struct Untold {
    #[serde(default)]
    _x: u8,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
struct Deep {
    must: bool,
    #[serde(default = "ten")]
    may: u32,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Choice {
    A,
    B,
}

#[derive(Deserialize, JsonSchema)]
enum Described {
    /// The first.
    One,
    /// The second.
    Two,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
struct Tree {
    children: Vec<Tree>,
}

fn ten() -> u32 {
    10
}

#[test]
fn a_struct_tells_its_args_in_order() {
    let string = |max: usize| json!({"type": "string", "max_bytes": max});
    let text = || string(DEFAULT_STRING_BYTES);
    let items = DEFAULT_LIST_ITEMS;
    let expected = json!({
        "name": text(),
        "short": string(40),
        "word": {"type": "string", "max_bytes": DEFAULT_STRING_BYTES, "pattern": "[a-z]+"},
        "some_x": text(),
        "age": {"type": "integer", "min": 0, "max": 255},
        "big": {"type": "integer", "min": 0},
        "stars": {"type": "integer", "min": 1, "max": 5},
        "ratio": {"type": "num", "allow_nil": true},
        "ok": "boolean",
        "limit": {"type": "integer", "min": 0, "default_value": 10},
        "untold": {"type": "object", "allow_nil": true, "fields": {
            "_x": {"type": "integer", "min": 0, "max": 255, "allow_nil": true},
        }},
        "tags": {"type": "list", "items": text(), "max_items": items},
        "deep": {"type": "object", "allow_nil": true, "fields": {
            "must": "boolean",
            "may": {"type": "integer", "min": 0, "allow_nil": true},
        }},
        "labels": {"type": "map", "max_items": items, "flat": false},
        "any": "any",
        "choice": {"type": "string", "enum": ["a", "b"], "allow_nil": true},
        "described": {"type": "string", "enum": ["One", "Two"]},
        "pair": "any",
        "renamed": text(),
    });
    let types = derive::<Everything>().unwrap();
    let told = types.to_json();
    for (name, expected) in expected.as_object().unwrap() {
        let want = ArgTypes::from_json(&json!({ name: expected })).unwrap();
        let got = types.0.iter().find(|(n, _)| n == name).cloned();
        assert_eq!(got, want.0.into_iter().next(), "{name}: {}", told[name]);
    }
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&told), names(&expected));
    // What is told is what gateways take.
    assert_eq!(ArgTypes::from_json(&told), Ok(types));
}

#[test]
fn types_without_known_fields_are_not_checked() {
    assert_eq!(derive::<Value>(), None);
    assert_eq!(derive::<BTreeMap<String, u8>>(), None);
    assert_eq!(derive::<Choice>(), None);
}

#[test]
fn a_type_that_holds_itself_ends() {
    let types = derive::<Tree>().unwrap();
    assert!(ArgTypes::from_json(&types.to_json()).is_ok());
    let args = Payload::json(r#"{"children":[{"children":[]}]}"#);
    assert!(check(Some(&types), args).is_ok());
}
