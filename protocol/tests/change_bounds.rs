//! What changes may do to one value is bounded: a worker says what is done and a client to what, and
//! neither may bring down who translates.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_protocol::change::{Chain, MAX_DEEPER, MAX_OPENED, TranslateError, Version, Versions};
use sluice_protocol::payload::MAX_DEPTH;
use sluice_protocol::version::ApiVersion;
use sluice_protocol::{Encoding, Payload};

/// Versions of which each has one of these changes.
fn versions(changes: &[Value]) -> Value {
    let listed = changes.iter().enumerate();
    let mut all: Vec<Value> = listed
        .map(|(i, change)| json!({"version": format!("{i}"), "changes": [change]}))
        .collect();
    all.push(json!({"version": "today"}));
    all.into()
}

fn change(functions: &[&str], request: &Value, response: &Value) -> Value {
    json!({"name": "c", "functions": functions, "request": request, "response": response})
}

fn wraps(count: usize) -> Value {
    vec![json!({"op": "wrap", "path": "/a"}); count].into()
}

fn chain(request: Value, response: Value) -> Chain {
    let versions = versions(&[change(&["f"], &request, &response)]);
    let versions = Versions::from_json(&versions).unwrap();
    versions.chain("0", None, "f").unwrap()
}

fn too_large(got: &Result<Payload, TranslateError>) {
    assert!(matches!(got, Err(TranslateError::TooLarge(_))), "{got:?}");
}

fn nested(levels: usize, encoding: Encoding) -> Payload {
    let json = format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    Payload::json(json).transcode(encoding).unwrap()
}

#[test]
fn chains_that_nest_without_bound_are_refused() {
    let of = |functions: &[&str], request: &Value| change(functions, request, &json!([]));
    let deep = json!({"op": "move", "from": "/a", "to": "/b/c/d/e"});
    let back = json!({"op": "move", "from": "/b", "to": "/a/c/d/e"});
    let moves: Value = [deep, back].iter().cycle().take(24).cloned().collect();
    let reversed = json!({"reverse": [""]});
    let unwraps = json!(vec![json!({"op": "unwrap", "path": "/a", "key": "k"}); 33]);
    let parts = json!({"body": wraps(20), "query": wraps(13)});
    let cases: Vec<(&str, Vec<Value>, &str)> = vec![
        ("the bomb", vec![of(&["f"], &wraps(100)); 90], "0/changes/0"),
        (
            "over changes",
            vec![of(&["f"], &wraps(11)); 3],
            "2/changes/0",
        ),
        ("by moves", vec![of(&["f"], &moves)], "0/changes/0"),
        (
            "down",
            vec![change(&["f"], &unwraps, &reversed)],
            "0/changes/0",
        ),
        ("in parts", vec![of(&["f"], &parts)], "0/changes/0"),
        (
            "with those of all",
            vec![of(&["*"], &wraps(17)), of(&["g", "f"], &wraps(16))],
            "1/changes/0",
        ),
        (
            "with those of one",
            vec![of(&["g", "f"], &wraps(16)), of(&["*"], &wraps(17))],
            "1/changes/0",
        ),
    ];
    for (name, changes, place) in cases {
        let faults = Versions::from_json(&versions(&changes)).unwrap_err();
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
        assert_eq!(faults[0].field, place, "{name}");
        let told = faults[0].message.contains("levels deeper");
        assert!(told, "{name}: {}", faults[0].message);
    }
}

#[test]
fn what_each_function_passes_counts_for_itself() {
    let of = |function, request| change(&[function], &request, &json!([]));
    let all = [
        of("f", wraps(MAX_DEEPER)),
        of("g", wraps(MAX_DEEPER)),
        change(&["f", "g"], &json!([]), &wraps(MAX_DEEPER)),
        // Neither renames nor what a wrap packed nests anything.
        of("f", json!(vec![json!({"op": "unwrap", "path": "/a"}); 100])),
    ];
    let read = Versions::from_json(&versions(&all)).unwrap();
    let chain = read.chain("0", None, "g").unwrap();
    let up = chain.request(&nested(1, Encoding::Json)).unwrap();
    assert_eq!(up, nested(1 + MAX_DEEPER, Encoding::Json));
}

/// Versions need not come from a config that was checked.
#[test]
fn the_bomb_is_no_danger_to_who_runs_it() {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let one = json!([{"version": "1", "changes": [change(&["f"], &wraps(30), &wraps(30))]}]);
        let one = Versions::from_json(&one)
            .unwrap()
            .0
            .remove(0)
            .changes
            .remove(0);
        let bomb = Version {
            version: ApiVersion::new("1").unwrap(),
            changes: vec![one; 1000],
            arg_types: Vec::new(),
        };
        let chain = Versions(vec![bomb]).chain("1", None, "f").unwrap();
        too_large(&chain.request(&nested(1, encoding)));
        too_large(&chain.response(&nested(1, encoding)));
    }
}

#[test]
fn values_do_not_become_deeper_than_values_may_be() {
    let wraps = chain(wraps(8), wraps(8));
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let most = MAX_DEPTH - 1 - 8;
        assert!(wraps.request(&nested(most, encoding)).is_ok());
        // In MessagePack a level is counted by what stands in it, so one more may fit.
        let more = most + if encoding == Encoding::Json { 1 } else { 2 };
        too_large(&wraps.request(&nested(more, encoding)));
        too_large(&wraps.response(&nested(more, encoding)));
    }
    // Brackets in texts are no levels.
    let text = Payload::json(format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000)));
    assert!(wraps.request(&text).is_ok());
}

#[test]
fn only_so_much_of_a_value_is_opened() {
    let rename = json!([{"op": "rename", "at": "/items/*", "from": "a", "to": "b"}]);
    let chain = chain(rename.clone(), rename);
    let of = |count: usize| {
        let items = vec!["{}"; count].join(",");
        Payload::json(format!("{{\"items\":[{items}]}}"))
    };
    // The value itself and the list count as well.
    assert!(chain.request(&of(MAX_OPENED - 2)).is_ok());
    too_large(&chain.request(&of(MAX_OPENED - 1)));
    let packed = of(MAX_OPENED - 1).transcode(Encoding::MessagePack).unwrap();
    too_large(&chain.response(&packed));
}

#[test]
fn many_changes_of_a_large_value_end_early() {
    let rename = json!({"op": "rename", "at": "/items/*", "from": "a", "to": "b"});
    let hundred = change(&["f"], &json!(vec![rename; 100]), &json!([]));
    let versions = Versions::from_json(&versions(&vec![hundred; 90])).unwrap();
    let chain = versions.chain("0", None, "f").unwrap();
    let members: Vec<String> = (0..90_000).map(|i| format!("\"k{i}\":1")).collect();
    let flat = format!("{{\"items\":[{{{}}}]}}", members.join(","));
    too_large(&chain.request(&Payload::json(flat)));
}

/// Any operations that nest or unpack, drawn.
fn drawn() -> impl Strategy<Value = Value> {
    let place = prop::sample::select(vec!["", "/a", "/a/b", "/b/a/b", "/0"]);
    let deep = prop::sample::select(vec!["/a", "/b/a", "/a/b/a/b", "/b/b/b/b/b/b"]);
    let key = prop::sample::select(vec![json!("a"), json!("b"), Value::Null]);
    let at = prop::sample::select(vec!["", "/*", "/a", "/a/*"]);
    (0..5_u8, place, deep, key, at).prop_map(|(which, path, to, key, at)| {
        let mut out = match which {
            0 | 1 => json!({"op": "wrap", "path": path, "key": key}),
            2 => json!({"op": "unwrap", "path": path, "key": key}),
            3 => json!({"op": "set", "path": to, "value": {"a": [{"b": 1}]}}),
            _ => json!({"op": "move", "from": if to == "/a" { "/b" } else { "/a" }, "to": to}),
        };
        if out["key"].is_null() {
            out.as_object_mut().unwrap().remove("key");
        }
        out["at"] = at.into();
        out
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

proptest! {
    /// What registration counts is what happens: no accepted chain nests deeper than it says.
    #[test]
    fn accepted_chains_nest_no_deeper_than_promised(
        operations in prop::collection::vec(drawn(), 0..60),
        input in prop::sample::select(vec![
            json!({"a": {"b": [1]}}), json!([{"a": 1}, {"b": {"a": 2}}]), json!({"b": {"b": {}}}),
        ]),
    ) {
        let operations = json!(operations);
        let versions = versions(&[change(&["f"], &operations, &operations)]);
        let Ok(versions) = Versions::from_json(&versions) else {
            return Ok(());
        };
        let chain = versions.chain("0", None, "f").unwrap();
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let args = Payload::json(input.to_string()).transcode(encoding).unwrap();
            let up = chain.request(&args).unwrap();
            let up = up.transcode(Encoding::Json).unwrap();
            let up: Value = serde_json::from_slice(&up.bytes).unwrap();
            // Literals and the objects made for them reach down this far by themselves.
            let own = depth(&input).max(2 + 6 + 3);
            prop_assert!(depth(&up) <= own + MAX_DEEPER, "{up}");
        }
    }
}
