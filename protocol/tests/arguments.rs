//! The check of args against bytes that no client in its right mind sends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_protocol::argument::{
    ArgKind, ArgSpec, ArgTypes, ArgValue, CheckedArgs, Fault, MAX_FAULTS, check, top_level,
};
use sluice_protocol::payload::MAX_DEPTH;
use sluice_protocol::{Encoding, Payload};

fn types(value: Value) -> ArgTypes {
    ArgTypes::from_json(&value).unwrap()
}

fn faults(types: Option<&ArgTypes>, args: Payload) -> Vec<(String, &'static str)> {
    let faults = check(types, args).unwrap_err();
    faults.into_iter().map(|f| (f.path, f.category)).collect()
}

fn at(path: &str, category: &'static str) -> (String, &'static str) {
    (path.to_owned(), category)
}

#[test]
fn bytes_are_passed_on_as_they_came() {
    let any = types(json!({"n": "num", "s": "string", "x": {"type": "any", "allow_nil": true}}));
    for text in [
        r#" { "s" : "\u0041" ,"n":1.50e+2, "x":[ 1E+040, 0.10 ]}  "#,
        r#"{"n":123456789012345678901234567890,"s":"","x":-0}"#,
        r#"{"x":{"a":1,"a":2},"n":1,"s":"é\ud83d\ude00"}"#,
    ] {
        let checked = check(Some(&any), Payload::json(text)).unwrap();
        assert_eq!(checked.payload().bytes, text);
        let unchecked = check(None, Payload::json(text)).unwrap();
        assert_eq!(unchecked.payload().bytes, text);
    }
    // What is beyond a double is refused: most readers could not take it.
    let huge = Payload::json(r#"{"x":1e400}"#);
    assert_eq!(faults(None, huge), [at("", "malformed")]);
}

#[test]
fn what_is_absent_is_spliced_in_behind_what_is_there() {
    let types = types(json!({
        "a": {"type": "string", "default_value": "x\"y"},
        "b\"": {"type": "map", "default_value": {"k": [1, 2.5]}},
        "c": {"type": "num", "allow_nil": true},
    }));
    let tail = r#""a":"x\"y","b\"":{"k":[1,2.5]}}"#;
    for (text, sends) in [
        ("{}", format!("{{{tail}")),
        (" { } \n", format!(" {{ {tail}")),
        (
            r#"{"c": 1.0 }  "#,
            r#"{"c": 1.0 ,"a":"x\"y","b\"":{"k":[1,2.5]}}"#.to_owned(),
        ),
        (
            r#"{"b\u0022":{"}":"}"}}"#,
            r#"{"b\u0022":{"}":"}"},"a":"x\"y"}"#.to_owned(),
        ),
    ] {
        let checked = check(Some(&types), Payload::json(text)).unwrap();
        assert_eq!(checked.payload().bytes, sends, "{text}");
    }
    let packed = Payload::message_pack(vec![0x81, 0xa1, b'c', 0xcd, 0, 1]);
    let checked = check(Some(&types), packed).unwrap();
    // The one-byte number in three bytes stays in three.
    assert_eq!(checked.payload().bytes[..6], [0x83, 0xa1, b'c', 0xcd, 0, 1]);
    let json = checked.payload().transcode(Encoding::Json).unwrap();
    assert_eq!(json.bytes, r#"{"c":1,"a":"x\"y","b\"":{"k":[1,2.5]}}"#);
}

#[test]
fn a_map_header_grows_with_what_is_spliced_in() {
    let optional = |count: usize| {
        let names =
            (0..count).map(|i| (format!("k{i}"), json!({"type": "num", "default_value": i})));
        types(Value::Object(names.collect()))
    };
    for (count, present) in [(16, 15), (16, 0), (17, 16), (128, 1)] {
        let args: Value = (0..present).map(|i| (format!("k{i}"), json!(i))).collect();
        let packed = Payload::message_pack(rmp_serde::to_vec_named(&args).unwrap());
        let checked = check(Some(&optional(count)), packed).unwrap();
        let json = checked.payload().transcode(Encoding::Json).unwrap();
        let read: Value = serde_json::from_slice(&json.bytes).unwrap();
        assert_eq!(read.as_object().unwrap().len(), count);
    }
}

#[test]
fn what_is_not_one_object_is_malformed() {
    let types = types(json!({"a": "any"}));
    for text in [
        &b""[..],
        b" ",
        b"[]",
        b"null",
        b"1",
        b"\"a\"",
        b"{",
        b"{\"a\":1",
        b"{\"a\":1,}",
        b"{\"a\":1} {}",
        b"{\"a\":1}x",
        b"{a:1}",
        b"{\"a\":01}",
        b"{\"a\":nul}",
        b"{\"a\":NaN}",
        b"{'a':1}",
        b"{\"a\":\"\xff\"}",
        b"{\"\xff\":1}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":[{\"b\":\"\\udc00\"}]}",
        b"{\"a\":\"\\ud800\\u0041\"}",
        b"{\"\\ud800\":1}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x\"}",
        b"\xef\xbb\xbf{\"a\":1}",
    ] {
        for types in [None, Some(&types)] {
            let found = faults(types, Payload::json(text.to_vec()));
            assert_eq!(found, [at("", "malformed")], "{}", text.escape_ascii());
        }
    }
    for bytes in [
        &b""[..],
        b"\x90",
        b"\xc0",
        b"\x81",
        b"\x81\xa1a",
        b"\x82\xa1a\x01",
        b"\x81\xa1a\x01\x01",
        b"\x81\xa1a\x01\x91",
        b"\x81\xa1a\x01\xd9",
        b"\x81\x01\x01",
        b"\x81\xc0\x01",
        b"\x81\xa1\xff\x01",
        b"\x81\xc4\x01a\x01",
        b"\x81\x91\xa1a\x01",
        b"\x81\xa1a\xc1",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x81\xa1a\xdb\xff\xff\xff\xffx",
        b"\xdf\xff\xff\xff\xff\xa1a\x01",
    ] {
        for types in [None, Some(&types)] {
            let found = faults(types, Payload::message_pack(bytes.to_vec()));
            assert_eq!(found, [at("", "malformed")], "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_json_cannot_say_is_refused_in_message_pack() {
    let any = types(json!({"a": "any", "b": "string"}));
    for value in [
        &b"\xc4\x01x"[..],
        b"\xa1\xff",
        b"\xd4\x01\x07",
        b"\xc7\x03\x01abc",
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\xca\x7f\x80\0\0",
    ] {
        let args = [&b"\x82\xa1a"[..], value, b"\xa1b", value].concat();
        let both = [at("/a", "type"), at("/b", "type")];
        let found = faults(Some(&any), Payload::message_pack(args.clone()));
        assert_eq!(found, both, "{}", value.escape_ascii());
        assert_eq!(faults(None, Payload::message_pack(args)), both);
        let nested = [&b"\x82\xa1a\x91\x81\xa1k"[..], value, b"\xa1b\xa1x"].concat();
        let found = faults(Some(&any), Payload::message_pack(nested));
        assert_eq!(found.len(), 1, "{}", value.escape_ascii());
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_where_a_rule_looks() {
    let all = types(json!({
        "a": {"type": "any", "allow_nil": true},
        "m": {"type": "map", "allow_nil": true},
        "o": {"type": "object", "fields": {"k": "num"}, "allow_nil": true},
    }));
    for (text, path) in [
        (r#"{"a":1,"a":2}"#, "/a"),
        (r#"{"a":1,"\u0061":2}"#, "/a"),
        (r#"{"m":{"x":1,"y":2,"\u0078":3}}"#, "/m/x"),
        (r#"{"o":{"k":1,"k":2}}"#, "/o/k"),
    ] {
        assert_eq!(
            faults(Some(&all), Payload::json(text)),
            [at(path, "duplicate")],
            "{text}"
        );
    }
    // Without types too: permissions and keyed routing look at the top level.
    assert_eq!(
        faults(None, Payload::json(r#"{"a":1,"\u0061":2}"#)),
        [at("/a", "duplicate")]
    );
    assert!(check(None, Payload::json(r#"{"a":{"b":1,"b":2}}"#)).is_ok());
    let packed = Payload::message_pack(&b"\x82\xa1a\x01\xd9\x01a\x02"[..]);
    assert_eq!(faults(Some(&all), packed.clone()), [at("/a", "duplicate")]);
    assert_eq!(faults(None, packed), [at("/a", "duplicate")]);
}

#[test]
fn many_keys_are_told_apart() {
    let object = |extra: &str| {
        let keys: Vec<String> = (0..50_000).map(|i| format!("\"k{i}\":{i}")).collect();
        Payload::json(format!("{{{}{extra}}}", keys.join(",")))
    };
    assert!(check(None, object("")).is_ok());
    assert_eq!(
        faults(None, object(r#","k777":1"#)),
        [at("/k777", "duplicate")]
    );
}

#[test]
fn depth_is_limited_in_both_encodings() {
    let any = types(json!({"a": "any"}));
    let json = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        Payload::json(format!("{{\"a\":{open}\"abc\"{close}}}"))
    };
    let packed = |levels: usize| {
        let mut bytes = b"\x81\xa1a".to_vec();
        bytes.extend(vec![0x91; levels]);
        bytes.extend(b"\xa3abc");
        Payload::message_pack(bytes)
    };
    // The args are the first level.
    let most = MAX_DEPTH - 1;
    for (good, bad) in [
        (json(most), json(most + 1)),
        (packed(most), packed(most + 1)),
        (json(1), json(100_000)),
        (packed(1), packed(100_000)),
    ] {
        for types in [None, Some(&any)] {
            let checked = check(types, good.clone()).unwrap();
            // What was let through can be carried over.
            for encoding in [Encoding::Json, Encoding::MessagePack] {
                checked.payload().transcode(encoding).unwrap();
            }
            let found = check(types, bad.clone()).unwrap_err();
            assert_eq!(found.last().unwrap().category, "depth");
        }
    }
}

#[test]
fn faults_are_bounded_in_number_and_size() {
    let none = types(json!({}));
    let keys: Vec<String> = (0..1000)
        .map(|i| format!("\"{i}{}\":1", "x".repeat(500)))
        .collect();
    let found = check(
        Some(&none),
        Payload::json(format!("{{{}}}", keys.join(","))),
    )
    .unwrap_err();
    assert_eq!(found.len(), MAX_FAULTS);
    let short = |f: &Fault| f.path.len() < 100 && f.message.len() < 200;
    assert!(found.iter().all(short), "{:?}", found[0]);
}

#[test]
fn faults_help() {
    let types = types(json!({
        "user_id": "uuid", "order": {"type": "string", "enum": ["asc", "desc"]},
        "age": {"type": "integer", "min": 18, "max": 150}, "tags": "list_string",
    }));
    let args = r#"{"userid":"x","order":"up","age":17,"tags":["a",{}]}"#;
    let found = check(Some(&types), Payload::json(args)).unwrap_err();
    let messages: Vec<String> = found
        .iter()
        .map(|f| format!("{} {}", f.path, f.message))
        .collect();
    assert_eq!(
        messages,
        [
            "/userid \"userid\" is not known, did you mean \"user_id\"?",
            "/order expected one of asc, desc",
            "/age must be at least 18",
            "/tags/1 expected a string, got an object",
            "/user_id \"user_id\" is missing",
        ]
    );
}

#[test]
fn types_that_are_built_in_code_may_have_any_number_of_fields() {
    let many = ArgTypes(
        (0..300)
            .map(|i| (format!("k{i}"), ArgSpec::new(ArgKind::Num)))
            .collect(),
    );
    let args: Value = (0..299).map(|i| (format!("k{i}"), json!(i))).collect();
    let found = faults(Some(&many), Payload::json(args.to_string()));
    assert_eq!(found, [at("/k299", "missing")]);
}

#[test]
fn types_are_printed_in_their_shortest_form() {
    for form in [
        json!("string"),
        json!({"type": "string", "max_bytes": 10, "allow_nil": true}),
        json!({"type": "string", "pattern": "a+", "default_value": "a"}),
        json!({"type": "string", "enum": ["a", "b"]}),
        json!("num"),
        json!({"type": "num", "min": 0, "max": 0.5}),
        json!({"type": "integer", "min": -5}),
        json!("boolean"),
        json!("uuid"),
        json!("datetime"),
        json!("naive_datetime"),
        json!("list"),
        json!({"type": "list", "max_items": 3, "max_item_bytes": 4}),
        json!({"type": "list", "items": {"type": "num", "allow_nil": true}}),
        json!({"type": "list", "items": "map"}),
        json!({"type": "list_string", "max_items": 5, "max_item_bytes": 1}),
        json!("list_num"),
        json!("list_uuid"),
        json!("list_map"),
        json!("map"),
        json!({"type": "map", "max_items": 5}),
        json!({"type": "map", "max_items": 5, "flat": false}),
        json!({"type": "map", "flat": true}),
        json!({"type": "map", "required": ["a"], "accept": ["a", "b"]}),
        json!({"type": "object", "fields": {"a": "num", "b": {"type": "any", "allow_nil": true}}}),
        json!("any"),
    ] {
        let wrapped = json!({ "a": form });
        assert_eq!(types(wrapped.clone()).to_json(), wrapped);
    }
    for (form, shortest) in [
        (
            json!({"type": "string", "max_bytes": 3000, "allow_nil": false}),
            json!("string"),
        ),
        (
            json!({"type": "list", "items": "string"}),
            json!("list_string"),
        ),
        (
            json!({"type": "list", "items": {"type": "num"}}),
            json!("list_num"),
        ),
        (
            json!({"type": "map", "accept": []}),
            json!({"type": "map", "flat": true}),
        ),
        (
            json!({"type": "num", "min": 1.0}),
            json!({"type": "num", "min": 1}),
        ),
    ] {
        assert_eq!(
            types(json!({ "a": form })).to_json(),
            json!({ "a": shortest })
        );
    }
}

#[test]
fn types_may_nest_only_so_deep() {
    let nested = |levels: usize| {
        let list = |items| json!({"type": "list", "items": items});
        let value = (1..levels).fold(json!("num"), |items, _| list(items));
        ArgTypes::from_json(&json!({ "a": value }))
    };
    assert!(nested(32).is_ok());
    assert_eq!(nested(33).unwrap_err().len(), 1);
    let many: Value = (0..129).map(|i| (format!("k{i}"), json!("num"))).collect();
    assert_eq!(ArgTypes::from_json(&many).unwrap_err()[0].path, "");
}

#[test]
fn one_arg_is_found_without_a_check() {
    let text = r#" {"a":"x\n","b": [1, {"c":2}] ,"n":1.0,"z":null,"t":true,"d":{"a":"no"}} "#;
    let json = Payload::json(text);
    let packed = json.transcode(Encoding::MessagePack).unwrap();
    for args in [&json, &packed] {
        let found = |name| top_level(args, name);
        let other = |text: &'static str| Some(ArgValue::Other(text.into()));
        assert_eq!(found("a"), Some(ArgValue::Str("x\n".into())));
        assert_eq!(found("n"), other("1.0"));
        assert_eq!(found("z"), other("null"));
        assert_eq!(found("t"), other("true"));
        assert_eq!(found("c"), None);
        assert_eq!(found(""), None);
    }
    assert_eq!(
        top_level(&json, "b"),
        Some(ArgValue::Other(r#"[1, {"c":2}]"#.into()))
    );
    assert_eq!(
        top_level(&packed, "b"),
        Some(ArgValue::Other(r#"[1,{"c":2}]"#.into()))
    );
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":1}{}"#,
        r#"{"a":1"#,
        "[]",
        "",
    ] {
        assert_eq!(top_level(&Payload::json(bad), "a"), None, "{bad}");
    }
    for bad in [
        &b"\x82\xa1a\x01\xa1a\x01"[..],
        b"\x81\xa1a\xc4\x01x",
        b"\x81\xa1a\x01\x01",
        b"",
    ] {
        assert_eq!(top_level(&Payload::message_pack(bad), "a"), None);
    }
    let deep = [&b"\x81\xa1a"[..], &[0x91; 100_000]].concat();
    assert_eq!(top_level(&Payload::message_pack(deep), "b"), None);
}

fn all_kinds() -> ArgTypes {
    types(json!({
        "s": {"type": "string", "pattern": "[a-z]*", "allow_nil": true},
        "n": {"type": "num", "min": -5, "default_value": 1},
        "i": {"type": "integer", "max": 9, "allow_nil": true},
        "l": {"type": "list", "items": {"type": "object", "fields": {"k": "uuid"}}, "allow_nil": true},
        "m": {"type": "map", "max_items": 2, "required": ["k"], "allow_nil": true},
        "a": {"type": "any", "allow_nil": true},
    }))
}

/// What both sides rely on: what was let through is one object that any reader takes.
fn assert_sound(types: Option<&ArgTypes>, checked: &CheckedArgs) {
    let payload = checked.payload();
    let json = payload
        .transcode(Encoding::Json)
        .expect("can be carried over");
    let Ok(Value::Object(map)) = serde_json::from_slice(&json.bytes) else {
        panic!("not an object: {json:?}");
    };
    if let Some(types) = types {
        assert!(map.keys().all(|key| types.get(key).is_some()), "{map:?}");
        let defaults = types.0.iter().filter(|(_, t)| t.default_value.is_some());
        assert!(
            defaults
                .map(|(name, _)| name)
                .all(|name| map.contains_key(name))
        );
        let again = check(Some(types), payload.clone()).expect("passes again");
        assert_eq!(again.payload(), payload);
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-10_i64..10).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}|\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[snilmak]|.{0,2}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        text in "[{}\\[\\]:,\"snilmak0-9eE.\\\\u -]{0,60}",
    ) {
        let types = all_kinds();
        for payload in [
            Payload::json(bytes.clone()),
            Payload::message_pack(bytes),
            Payload::json(text),
        ] {
            for types in [None, Some(&types)] {
                if let Ok(checked) = check(types, payload.clone()) {
                    assert_sound(types, &checked);
                }
            }
            let _ = top_level(&payload, "s");
        }
    }

    #[test]
    fn broken_message_pack_never_panics(
        value in json_values(),
        cut in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let args = json!({"a": value.clone(), "s": value});
        let mut bytes = rmp_serde::to_vec_named(&args).unwrap();
        let at = cut.index(bytes.len());
        bytes[at] ^= flip;
        for bytes in [bytes[..at].to_vec(), bytes] {
            let payload = Payload::message_pack(bytes);
            for types in [None, Some(&all_kinds())] {
                if let Ok(checked) = check(types, payload.clone()) {
                    assert_sound(types, &checked);
                }
            }
            let _ = top_level(&payload, "a");
        }
    }

    #[test]
    fn both_encodings_get_the_same_verdict(value in json_values()) {
        let types = all_kinds();
        let json = Payload::json(value.to_string());
        let packed = Payload::message_pack(rmp_serde::to_vec_named(&value).unwrap());
        for types in [None, Some(&types)] {
            match (check(types, json.clone()), check(types, packed.clone())) {
                (Ok(a), Ok(b)) => {
                    let b = b.payload().transcode(Encoding::Json).unwrap();
                    let read = |p: &Payload| serde_json::from_slice::<Value>(&p.bytes).unwrap();
                    prop_assert_eq!(read(a.payload()), read(&b));
                    assert_sound(types, &a);
                }
                (Err(a), Err(b)) => {
                    let places = |faults: &[Fault]| -> Vec<_> {
                        faults.iter().map(|f| (f.path.clone(), f.category)).collect()
                    };
                    prop_assert_eq!(places(&a), places(&b));
                }
                (a, b) => prop_assert!(false, "{a:?} but {b:?}"),
            }
        }
    }

    #[test]
    fn strangers_types_never_panic(value in json_values(), name in "[a-z_]{0,12}") {
        let _ = ArgTypes::from_json(&value);
        let option = json!({"a": {"type": "string", name: value.clone()}, "b": value});
        let _ = ArgTypes::from_json(&option);
    }
}
