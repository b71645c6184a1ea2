//! Declarative operations: what each does, what undoes it, and what none of them does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_protocol::change::{Chain, TranslateError, Versions};
use sluice_protocol::{Encoding, Payload};

/// A chain of one change for function `f`.
fn chain(request: Value, response: Value) -> Chain {
    let versions = json!([
        {"version": "1", "changes": [
            {"name": "c", "functions": ["f"], "request": request, "response": response}
        ]},
        {"version": "2"}
    ]);
    let versions = Versions::from_json(&versions).unwrap();
    // What a config's text says again is the same.
    assert_eq!(Versions::from_json(&versions.to_json()).unwrap(), versions);
    versions.chain("1", None, "f").unwrap()
}

fn up(chain: &Chain, args: &str) -> String {
    text(&chain.request(&Payload::json(args.to_owned())).unwrap())
}

fn down(chain: &Chain, result: &str) -> String {
    text(&chain.response(&Payload::json(result.to_owned())).unwrap())
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.bytes.to_vec()).unwrap()
}

/// One operation, a value and what it becomes.
fn operations() -> Vec<(Value, &'static str, &'static str)> {
    let rename = json!({"op": "rename", "from": "a", "to": "b"});
    let moved = json!({"op": "move", "from": "/a/b", "to": "/c/d"});
    let default = json!({"op": "default", "path": "/a/b", "value": [1]});
    let set = json!({"op": "set", "path": "/a", "value": {"k": 1}});
    let drop = json!({"op": "drop", "path": "/a/b"});
    let map = json!({"op": "map_values", "path": "/a", "values": {"x": "y", "": "empty"}});
    let wrap = json!({"op": "wrap", "path": "/a", "key": "id"});
    let list = json!({"op": "wrap", "path": "/a"});
    let unwrap = json!({"op": "unwrap", "path": "/a", "key": "id"});
    let first = json!({"op": "unwrap", "path": "/a"});
    let split = json!({"op": "split", "path": "/n", "into": ["f", "l"], "by": " "});
    let join = json!({"op": "join", "from": ["f", "l"], "path": "/n", "by": " "});
    vec![
        (rename.clone(), r#"{"a":1.50,"c":2}"#, r#"{"b":1.50,"c":2}"#),
        (rename.clone(), r#"{"a":null}"#, r#"{"b":null}"#),
        (rename.clone(), r#"{"b":1,"a":2}"#, r#"{"b":2}"#),
        (rename.clone(), r#"{"c":1}"#, r#"{"c":1}"#),
        (rename.clone(), r#"[{"a":1}]"#, r#"[{"a":1}]"#),
        (rename.clone(), "17", "17"),
        // Escapes are the same name.
        (rename, r#"{"\u0061":1}"#, r#"{"b":1}"#),
        (moved.clone(), r#"{"a":{"b":1}}"#, r#"{"a":{},"c":{"d":1}}"#),
        (
            moved.clone(),
            r#"{"a":{"b":1},"c":{"d":2,"e":3}}"#,
            r#"{"a":{},"c":{"d":1,"e":3}}"#,
        ),
        (
            moved.clone(),
            r#"{"a":{"b":1},"c":5}"#,
            r#"{"a":{"b":1},"c":5}"#,
        ),
        (moved, r#"{"a":1}"#, r#"{"a":1}"#),
        (
            json!({"op": "move", "from": "/a/b", "to": "/c", "prune": true}),
            r#"{"a":{"b":1}}"#,
            r#"{"c":1}"#,
        ),
        (
            json!({"op": "move", "from": "/a/b/c", "to": "/a", "prune": true}),
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"a":1}"#,
        ),
        (
            json!({"op": "move", "from": "/a", "to": "/a/b"}),
            r#"{"a":1}"#,
            r#"{"a":{"b":1}}"#,
        ),
        (default.clone(), "{}", r#"{"a":{"b":[1]}}"#),
        (
            default.clone(),
            r#"{"a":{"b":null}}"#,
            r#"{"a":{"b":null}}"#,
        ),
        (default.clone(), r#"{"a":7}"#, r#"{"a":7}"#),
        (default, r#"{"a":{"c":1}}"#, r#"{"a":{"c":1,"b":[1]}}"#),
        (set.clone(), r#"{"a":1,"b":2}"#, r#"{"a":{"k":1},"b":2}"#),
        (set, "{}", r#"{"a":{"k":1}}"#),
        (drop.clone(), r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":2}}"#),
        (drop, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (map.clone(), r#"{"a":"x"}"#, r#"{"a":"y"}"#),
        (map.clone(), r#"{"a":"\u0078"}"#, r#"{"a":"y"}"#),
        (map.clone(), r#"{"a":""}"#, r#"{"a":"empty"}"#),
        (map.clone(), r#"{"a":"z"}"#, r#"{"a":"z"}"#),
        (map, r#"{"a":1}"#, r#"{"a":1}"#),
        (wrap.clone(), r#"{"a":1}"#, r#"{"a":{"id":1}}"#),
        (wrap, "{}", "{}"),
        (list, r#"{"a":1}"#, r#"{"a":[1]}"#),
        (unwrap.clone(), r#"{"a":{"id":1}}"#, r#"{"a":1}"#),
        (unwrap, r#"{"a":{"x":1}}"#, r#"{"a":{"x":1}}"#),
        (first.clone(), r#"{"a":[1,2]}"#, r#"{"a":1}"#),
        (first, r#"{"a":[]}"#, r#"{"a":[]}"#),
        (split.clone(), r#"{"n":"A B C"}"#, r#"{"f":"A","l":"B C"}"#),
        (split.clone(), r#"{"n":"A"}"#, r#"{"f":"A"}"#),
        (
            split.clone(),
            r#"{"l":"x","n":"A B"}"#,
            r#"{"l":"B","f":"A"}"#,
        ),
        (split, r#"{"n":7}"#, r#"{"n":7}"#),
        (join.clone(), r#"{"f":"A","l":"B"}"#, r#"{"n":"A B"}"#),
        (join.clone(), r#"{"l":"B","f":7}"#, r#"{"f":7,"n":"B"}"#),
        (join, r#"{"x":1}"#, r#"{"x":1}"#),
    ]
}

#[test]
fn every_operation_does_what_it_says() {
    for (operation, before, after) in operations() {
        let chain = chain(json!([operation]), json!([]));
        assert_eq!(up(&chain, before), after, "{operation} on {before}");
    }
}

#[test]
fn operations_work_wherever_at_points() {
    for (operation, before, after) in operations() {
        for (at, around) in [
            ("/x", r#"{"n":1,"x":?}"#),
            ("/x/*", r#"{"x":[?,7,?]}"#),
            ("/*/y", r#"[{"y":?},[],{"y":?}]"#),
            ("/1", "[0,?,?]"),
        ] {
            let mut operation = operation.clone();
            operation["at"] = json!(at);
            let chain = chain(json!([]), json!([operation]));
            let many = at != "/1";
            let result = if many {
                around.replace('?', after)
            } else {
                format!("[0,{after},{before}]")
            };
            assert_eq!(
                down(&chain, &around.replace('?', before)),
                result,
                "{operation}"
            );
            let elsewhere = r#"{"z":{"x":[1]}}"#;
            assert_eq!(down(&chain, elsewhere), elsewhere);
        }
    }
}

#[test]
fn messagepack_is_translated_like_json() {
    for (operation, before, after) in operations() {
        let chain = chain(json!([operation]), json!([]));
        let pack = |text: &str| {
            Payload::json(text.to_owned())
                .transcode(Encoding::MessagePack)
                .unwrap()
        };
        let got = chain.request(&pack(before)).unwrap();
        assert_eq!(got, pack(after), "{operation} on {before}");
    }
    let rename = chain(json!([{"op": "rename", "from": "a", "to": "b"}]), json!([]));
    // {"a": bin 07}: what JSON cannot say passes as well.
    let binary = Payload::message_pack(vec![0x81, 0xa1, b'a', 0xc4, 1, 7]);
    let got = rename.request(&binary).unwrap();
    assert_eq!(got.bytes[..], [0x81, 0xa1, b'b', 0xc4, 1, 7]);
}

#[test]
fn what_no_change_names_stays_byte_for_byte() {
    let chain = chain(json!([{"op": "rename", "from": "a", "to": "b"}]), json!([]));
    let args = r#"{"x": [1.0e+2, 18446744073709551616, {"k":1,"k":2}], "a" : 0.10}"#;
    let same = r#"{"x":[1.0e+2, 18446744073709551616, {"k":1,"k":2}],"b":0.10}"#;
    assert_eq!(up(&chain, args), same);
    // A function that no change names is not even read.
    let versions = json!([{"version": "1", "changes": [{"name": "c", "functions": ["g"]}]}]);
    let none = Versions::from_json(&versions).unwrap();
    let none = none.chain("1", None, "f").unwrap();
    let broken = Payload::json("{");
    assert_eq!(none.request(&broken).unwrap(), broken);
}

#[test]
fn ambiguous_and_broken_values_are_refused() {
    let chain = chain(
        json!([{"op": "rename", "at": "/x", "from": "a", "to": "b"}]),
        json!([]),
    );
    for bad in [
        "",
        "{",
        r#"{"x":1,"\u0078":2}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        "{} {}",
    ] {
        let got = chain.request(&Payload::json(bad.to_owned()));
        assert!(
            matches!(got, Err(TranslateError::Malformed(_))),
            "{bad}: {got:?}"
        );
    }
    let many: Vec<String> = (0..40).map(|i| format!("\"k{i}\":1")).collect();
    let twice = format!("{{\"x\":{{{},\"k7\":2}}}}", many.join(","));
    assert!(chain.request(&Payload::json(twice)).is_err());
    let key = Payload::message_pack(vec![0x81, 1, 1]);
    assert!(chain.request(&key).is_err());
}

#[test]
fn a_small_request_cannot_grow_without_bound() {
    let literal = "x".repeat(4000);
    let set = json!([{"op": "set", "at": "/*", "path": "/a", "value": literal}]);
    let chain = chain(set, json!([]));
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    let got = chain.request(&Payload::json(many));
    assert!(matches!(got, Err(TranslateError::TooLarge(_))), "{got:?}");
}

/// Operations whose reverse brings every listed value back.
#[test]
fn reverses_bring_back_what_was_there() {
    for (operation, value) in [
        (
            json!({"op": "rename", "from": "a", "to": "b"}),
            r#"{"a":1.50}"#,
        ),
        (
            json!({"op": "move", "from": "/a", "to": "/b/c/d"}),
            r#"{"a":1.50,"x":2}"#,
        ),
        (
            json!({"op": "move", "from": "/a/b", "to": "/c", "prune": true}),
            r#"{"a":{"b":1}}"#,
        ),
        (json!({"op": "default", "path": "/a", "value": 1}), "{}"),
        (
            json!({"op": "map_values", "path": "/a", "values": {"x": "y"}}),
            r#"{"a":"x"}"#,
        ),
        (
            json!({"op": "map_values", "path": "/a", "values": {"x": "y"}}),
            r#"{"a":"z"}"#,
        ),
        (
            json!({"op": "wrap", "path": "/a", "key": "id"}),
            r#"{"a":[1]}"#,
        ),
        (json!({"op": "wrap", "path": "/a"}), r#"{"a":{"b":1}}"#),
        (
            json!({"op": "unwrap", "path": "/a", "key": "id"}),
            r#"{"a":{"id":1}}"#,
        ),
        (json!({"op": "unwrap", "path": "/a"}), r#"{"a":[1]}"#),
        (
            json!({"op": "split", "path": "/n", "into": ["f", "l"], "by": " "}),
            r#"{"n":"A B C"}"#,
        ),
        (
            json!({"op": "join", "from": ["f", "l"], "path": "/n", "by": " "}),
            r#"{"f":"A","l":"B C"}"#,
        ),
    ] {
        let chain = chain(json!([operation]), json!({"reverse": ["", "/data/*"]}));
        let there = up(&chain, value);
        let back: Value = serde_json::from_str(&down(&chain, &there)).unwrap();
        assert_eq!(
            back,
            serde_json::from_str::<Value>(value).unwrap(),
            "{operation}"
        );
        let many = down(&chain, &format!(r#"{{"data":[{there},{there}]}}"#));
        let back: Value = serde_json::from_str(&many).unwrap();
        assert_eq!(
            back["data"][1],
            serde_json::from_str::<Value>(value).unwrap()
        );
    }
}

#[test]
fn faults_stand_where_the_client_wrote_them() {
    let chain = chain(
        json!([
            {"op": "rename", "from": "name", "to": "full_name"},
            {"op": "move", "from": "/owner_id", "to": "/owner/id"},
            {"op": "rename", "at": "/items/*", "from": "n", "to": "count"},
            {"op": "wrap", "path": "/tag"},
            {"op": "split", "path": "/at", "into": ["date", "time"], "by": "T"},
            {"op": "rename", "from": "full_name", "to": "title"},
        ]),
        json!([]),
    );
    for (now, before) in [
        ("/title", "/name"),
        ("/title/3", "/name/3"),
        ("/owner/id", "/owner_id"),
        ("/owner", "/owner"),
        ("/items/12/count", "/items/12/n"),
        ("/items/x/count", "/items/x/count"),
        ("/tag/0", "/tag"),
        ("/time", "/at"),
        ("/other", "/other"),
        ("", ""),
        ("no pointer", "no pointer"),
    ] {
        assert_eq!(chain.place_before(now), before, "{now}");
    }
    let mut details = json!({"faults": [
        {"path": "/title", "message": "\"title\" is missing", "category": "missing"},
        {"path": "/other", "message": "\"title\" is odd"},
        7
    ]});
    chain.faults_before(&mut details);
    assert_eq!(
        details,
        json!({"faults": [
            {"path": "/name", "message": "\"name\" is missing", "category": "missing"},
            {"path": "/other", "message": "\"title\" is odd"},
            7
        ]})
    );
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let bad = json!([
        {"version": "1", "changes": [
            {"name": "a", "functions": ["f"], "request": [
                {"op": "renam", "from": "a", "to": "b"},
                {"op": "rename", "from": "a"},
                {"op": "rename", "from": "a", "to": "a"},
                {"op": "drop", "path": ""},
                {"op": "drop", "path": "x", "value": 1},
                {"op": "set", "path": "/a", "value": "v".repeat(5000)},
                {"op": "split", "path": "/a", "into": ["a"], "by": ""},
                {"op": "map_values", "path": "/a", "values": {"a": 1}},
                7
            ]},
            {"name": "b", "functions": [], "response": {"reverse": ["x"]}},
            {"name": "c", "functions": ["f"], "request": [{"op": "drop", "path": "/x"}], "response": {"reverse": [""]}},
            {"name": "d", "functions": ["*"], "code": true, "response": [{"op": "drop", "path": "/x"}]}
        ]},
        {"version": "1"},
        {"version": "0.0.0", "chnages": []},
        {"label": "not a version"},
        {"version": "2", "arg_types": {"f": {"a": "strin"}}}
    ]);
    let faults = Versions::from_json(&bad).unwrap_err();
    let places: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
    let request = "0/changes/0/request";
    let expected = [
        format!("{request}/0/op"),
        format!("{request}/1/to"),
        format!("{request}/2"),
        format!("{request}/3/path"),
        format!("{request}/4/value"),
        format!("{request}/4/path"),
        format!("{request}/5/value"),
        format!("{request}/6/into"),
        format!("{request}/6/by"),
        format!("{request}/7/values"),
        format!("{request}/8"),
        "0/changes/1/functions".to_owned(),
        "0/changes/1/response/reverse/0".to_owned(),
        "0/changes/2/response".to_owned(),
        "0/changes/3".to_owned(),
        "1/version".to_owned(),
        "2/chnages".to_owned(),
        "2/version".to_owned(),
        "3/label".to_owned(),
        "3/version".to_owned(),
        "4/arg_types/f/a".to_owned(),
    ];
    assert_eq!(places, expected);
    assert!(
        faults[0].message.contains("did you mean \"rename\""),
        "{}",
        faults[0].message
    );
}

proptest! {
    /// Whatever the value, translating it ends in a value or a clear error, and reverses of what
    /// renames do bring every field back.
    #[test]
    fn any_value_passes(value in any_json(4)) {
        let list: Vec<Value> = operations().into_iter().map(|(op, _, _)| op).collect();
        let chain = chain(json!(list), json!(list));
        let text = value.to_string();
        let up = chain.request(&Payload::json(text.clone())).unwrap();
        prop_assert!(serde_json::from_slice::<Value>(&up.bytes).is_ok());
        let packed = Payload::json(text).transcode(Encoding::MessagePack).unwrap();
        let packed = chain.request(&packed).unwrap().transcode(Encoding::Json).unwrap();
        let (a, b): (Value, Value) = (
            serde_json::from_slice(&up.bytes).unwrap(),
            serde_json::from_slice(&packed.bytes).unwrap(),
        );
        prop_assert_eq!(a, b);
    }

    /// Any bytes are a value or an error, never a panic.
    #[test]
    fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let list: Vec<Value> = operations().into_iter().map(|(op, _, _)| op).collect();
        let chain = chain(json!(list), json!([]));
        let _ = chain.request(&Payload::json(bytes.clone()));
        let _ = chain.request(&Payload::message_pack(bytes));
    }
}

/// JSON of few names, so that operations find something to do.
fn any_json(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[xyAB ]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abcdfln]|id", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
