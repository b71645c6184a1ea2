//! `docs/arguments.md` says what the code does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sluice_protocol::argument::{ArgTypes, category, check};
use sluice_protocol::{FunctionSpec, Payload, ServiceName};

const PAGE: &str = include_str!("../../docs/arguments.md");

fn examples() -> Vec<Value> {
    let blocks = PAGE.split("```json\n").skip(1);
    blocks
        .map(|b| serde_json::from_str(b.split("```").next().unwrap()).unwrap())
        .collect()
}

#[test]
fn the_examples_are_true() {
    let examples = examples();
    let [function, details] = examples.as_slice() else {
        panic!("two examples");
    };
    let service = ServiceName::new("demo").unwrap();
    let spec = FunctionSpec::from_json(&service, function).unwrap();
    let args = Payload::json(r#"{"lmit":5,"tags":["a",1]}"#);
    let faults = check(spec.arg_types.as_ref(), args).unwrap_err();
    assert_eq!(json!({ "faults": faults }), *details);

    let mut wrong = function.clone();
    wrong["arg_types"]["limit"]["min"] = json!("1");
    let faults = FunctionSpec::from_json(&service, &wrong).unwrap_err();
    let told = format!("demo.search: {}: {}", faults[0].field, faults[0].message);
    assert!(PAGE.contains(&format!("`{told}`")), "{told}");
}

#[test]
fn every_type_and_category_stands_there() {
    let unknown = ArgTypes::from_json(&json!({"a": "?"})).unwrap_err();
    let (_, types) = unknown[0].message.split_once("types: ").unwrap();
    let types = types.trim_end_matches(')').split(", ");
    let categories = [
        category::MISSING,
        category::UNKNOWN,
        category::DUPLICATE,
        category::NULL,
        category::TYPE,
        category::NESTED,
        category::TOO_LARGE,
        category::TOO_MANY_ITEMS,
        category::RANGE,
        category::FORMAT,
        category::ENUM,
        category::DEPTH,
        category::MALFORMED,
    ];
    for name in types.chain(categories) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
}
