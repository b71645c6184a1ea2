//! Whole configs: every mistake told, nothing unbounded, one text for equal configs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_protocol::ServiceName;
use sluice_protocol::function::{
    FunctionSpec, MAX_CONFIG_BYTES, MAX_FUNCTIONS, MAX_REASONS, ServiceConfig,
};
use sluice_protocol::registry::{Reason, config_hash};

fn service() -> ServiceName {
    ServiceName::new("users").unwrap()
}

fn parse(config: &Value) -> Result<ServiceConfig, Vec<Reason>> {
    ServiceConfig::parse(&service(), &config.to_string())
}

fn mistakes(config: &Value) -> Vec<String> {
    let reasons = parse(config).unwrap_err();
    reasons.iter().map(Reason::to_string).collect()
}

#[test]
fn every_mistake_of_every_function_is_told() {
    let config = json!({"functions": [
        {"request_type": "a", "timeout": 5, "retri": 1},
        {"request_type": "b", "version": "1", "arg_types": {"x": {"type": "nun"}, "y": {"type": "string", "max_bytes": -1}}},
        {"timeout": 0},
        {"request_type": "c"},
        7,
        {"request_type": "c"},
        {"request_type": "b", "version": "1"},
        {"request_type": "c"},
    ], "version": "1"});
    let expected = [
        "version: is no field of a config",
        "users.a: timeout: must be a whole number from 100 to 300000, or \"infinity\", got 5",
        "users.a: retri: is no field of a function, did you mean \"retry\"?",
        "users.b@1: arg_types/x: unknown type \"nun\", did you mean \"num\"?",
        "users.b@1: arg_types/y/max_bytes: must be a whole number, 0 or more, got -1",
        "users.functions[2]: request_type: is missing: the name of the function",
        "users.functions[2]: timeout: must be a whole number from 100",
        "users.functions[4]: a function must be an object, got 7",
        "users.c: version: this function stands here twice with this version",
        "users.b@1: version: this function stands here twice with this version",
    ];
    let found = mistakes(&config);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} is not {expected}");
    }
}

#[test]
fn versions_of_one_function_are_different_functions() {
    let config = json!({"functions": [
        {"request_type": "a"}, {"request_type": "a", "version": "1"},
        {"request_type": "a", "version": "2"}, {"request_type": "A"},
    ]});
    assert_eq!(parse(&config).unwrap().functions.len(), 4);
    let null =
        json!({"functions": [{"request_type": "a"}, {"request_type": "a", "version": null}]});
    assert_eq!(mistakes(&null).len(), 1);
}

#[test]
fn routes_belong_to_one_function() {
    let post = |name: &str, version: &str, route: &str| json!({"request_type": name, "version": version, "routes": [route]});
    let shared = json!({"functions": [
        post("a", "1", "POST /users/{id}"), post("a", "2", "POST /users/{id}"),
        post("b", "1", "PUT /users/{id}"),
    ]});
    assert!(parse(&shared).is_ok());
    let taken = json!({"functions": [
        post("a", "1", "POST /users/{id}"), post("b", "1", "POST /users/{name}"),
    ]});
    let found = mistakes(&taken);
    assert!(
        found[0].starts_with("users.b@1: routes/0: \"POST /users/{name}\" matches"),
        "{found:?}"
    );
}

#[test]
fn what_is_no_config_is_refused() {
    for (text, why) in [
        ("", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("{}", "functions: is missing"),
        (r#"{"functions":{}}"#, "functions: must be a list"),
        (r#"{"functions":[]}"#, "at least one function"),
        (
            r#"{"functions":[{"request_type":"a"}]} x"#,
            "trailing characters",
        ),
        (
            r#"{"functions":[{"request_type":"a","check_permission":"any_authenticated","check_permission":false}]}"#,
            "\"check_permission\" stands twice",
        ),
    ] {
        let reasons = ServiceConfig::parse(&service(), text).unwrap_err();
        assert_eq!(reasons.len(), 1, "{text}");
        assert!(
            reasons[0].to_string().contains(why),
            "{text}: {}",
            reasons[0]
        );
    }
}

#[test]
fn configs_are_bounded() {
    let many = |count: usize| -> Value {
        let functions = (0..count).map(|i| json!({"request_type": format!("f{i}")}));
        json!({"functions": functions.collect::<Vec<_>>()})
    };
    assert!(parse(&many(MAX_FUNCTIONS)).is_ok());
    assert!(mistakes(&many(MAX_FUNCTIONS + 1))[0].contains("2000"));
    let long = format!("{}{}", many(1), " ".repeat(MAX_CONFIG_BYTES));
    let reasons = ServiceConfig::parse(&service(), &long).unwrap_err();
    assert!(reasons[0].message.contains("1048576 bytes"), "{reasons:?}");
}

#[test]
fn reasons_are_bounded_in_number_and_size() {
    let wrong = json!({"request_type": "f", "timeout": "x".repeat(1000), "y".repeat(1000): 1});
    let config = json!({"functions": vec![wrong; 400]});
    let found = mistakes(&config);
    assert_eq!(found.len(), MAX_REASONS);
    // Two of each function and one for the name that stands twice.
    assert_eq!(found[MAX_REASONS - 1], "and 602 more mistakes");
    assert!(found.iter().all(|r| r.len() < 400), "{}", found[0]);
}

#[test]
fn patterns_are_bounded_over_a_whole_config() {
    let function = |i: usize| {
        let types: Value = (0..100)
            .map(|k| (format!("k{k}"), json!({"type": "string", "pattern": "a"})))
            .collect();
        json!({"request_type": format!("f{i}"), "arg_types": types})
    };
    let config = |count| json!({"functions": (0..count).map(function).collect::<Vec<_>>()});
    assert!(parse(&config(5)).is_ok());
    let found = mistakes(&config(6));
    assert_eq!(found.len(), 100);
    assert!(found[0].contains("too many patterns"), "{}", found[0]);
}

#[test]
fn equal_configs_have_one_text_and_one_hash() {
    let functions = [
        json!({"request_type": "b", "timeout": 5000, "retry": {"all_nodes": 2}}),
        json!({"request_type": "a", "version": "1.10.0", "arg_types": {}}),
        json!({"service": "users", "request_type": "a", "version": "1.9.0", "arg_types": null}),
    ];
    let mut backwards = functions.to_vec();
    backwards.reverse();
    let one = parse(&json!({ "functions": functions })).unwrap().to_text();
    let other = parse(&json!({ "functions": backwards })).unwrap().to_text();
    assert_eq!(
        one,
        r#"{"functions":[{"request_type":"a","version":"1.9.0"},{"request_type":"a","version":"1.10.0","arg_types":{}},{"request_type":"b","retry":2}]}"#
    );
    assert_eq!(config_hash(&one), config_hash(&other));
    let again = ServiceConfig::parse(&service(), &one).unwrap();
    assert_eq!(again.to_text(), one);
}

#[test]
fn labels_say_which_version() {
    let config = parse(&json!({"functions": [{"request_type": "a", "version": "1"}]})).unwrap();
    assert_eq!(config.functions[0].label(), "users.a@1");
    let plain = json!({"request_type": "a"});
    let plain = FunctionSpec::from_json(&service(), &plain).unwrap();
    assert_eq!(plain.label(), "users.a");
}

proptest! {
    #[test]
    fn strangers_configs_never_panic(
        text in "[{}\\[\\]:,\"a-z0-9. -]{0,60}",
        field in "(timeout|retry|routes|arg_types|arg_orders|check_permission|before_execute|[a-z]{0,8})",
        value in "[{}\\[\\]:,\"a-z0-9. /-]{0,20}",
    ) {
        let _ = ServiceConfig::parse(&service(), &text);
        let _ = ServiceConfig::parse(&service(), &format!(
            "{{\"functions\":[{{\"request_type\":\"f\",\"{field}\":{value}}}]}}"
        ));
        let wrapped = json!({"functions": [{"request_type": "f", field: value}]});
        let _ = parse(&wrapped);
    }
}
