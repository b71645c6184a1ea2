//! The rules against tables of cases (`tests/vectors/`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_protocol::argument::{ArgTypes, ArgValue, check, top_level};
use sluice_protocol::function::FunctionSpec;
use sluice_protocol::permission::Permission;
use sluice_protocol::version::latest;
use sluice_protocol::{ApiVersion, Encoding, Identity, Payload, Request, ServiceName};

/// A table, with `{"$repeat": [text, n]}` and the like written out.
fn table(text: &str) -> Vec<Value> {
    let Value::Array(rows) = expand(serde_json::from_str(text).unwrap()) else {
        panic!("a table is a list");
    };
    assert!(!rows.is_empty());
    rows
}

fn expand(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(expand).collect(),
        Value::Object(map) => {
            let first = map.iter().next().map(|(k, v)| (k.as_str(), v));
            match first {
                Some(("$repeat", v)) => {
                    let times = usize::try_from(v[1].as_u64().unwrap()).unwrap();
                    v[0].as_str().unwrap().repeat(times).into()
                }
                Some(("$range", v)) => (v[0].as_i64().unwrap()..=v[1].as_i64().unwrap()).collect(),
                Some(("$map_n", v)) => {
                    let entries = 1..=v.as_u64().unwrap();
                    let entries = entries.map(|n| (format!("k{n}"), json!(n)));
                    Value::Object(entries.collect())
                }
                _ => map.into_iter().map(|(k, v)| (k, expand(v))).collect(),
            }
        }
        plain => plain,
    }
}

fn in_both_encodings(value: &Value) -> [Payload; 2] {
    [
        Payload::json(value.to_string()),
        Payload::message_pack(rmp_serde::to_vec_named(value).unwrap()),
    ]
}

fn read_back(payload: &Payload) -> Value {
    let json = payload.transcode(Encoding::Json).unwrap();
    serde_json::from_slice(&json.bytes).unwrap()
}

#[test]
fn arguments() {
    let wrap = |value: &Value| json!({ "a": value });
    for group in table(include_str!("vectors/arguments.json")) {
        let about = group["about"].as_str().unwrap();
        let single = group.get("of");
        let types = single.map_or_else(|| group["types"].clone(), wrap);
        let types = (!types.is_null()).then(|| ArgTypes::from_json(&types).expect(about));
        for row in group["rows"].as_array().unwrap() {
            let args = single.map_or_else(|| row[0].clone(), |_| wrap(&row[0]));
            for payload in in_both_encodings(&args) {
                let outcome = check(types.as_ref(), payload.clone());
                argument_row(about, &row[1], &args, &payload, outcome);
            }
        }
    }
}

fn argument_row(
    about: &str,
    expected: &Value,
    args: &Value,
    sent: &Payload,
    outcome: Result<sluice_protocol::argument::CheckedArgs, Vec<sluice_protocol::argument::Fault>>,
) {
    let shown: String = args.to_string().chars().take(100).collect();
    let case = format!("{about}: {shown} as {:?}", sent.encoding);
    match (expected, outcome) {
        (Value::String(_), Ok(checked)) => {
            assert_eq!(checked.payload(), sent, "{case}");
        }
        (Value::Object(map), Ok(checked)) => {
            assert_eq!(read_back(checked.payload()), map["sends"], "{case}");
        }
        (Value::Array(faults), Err(found)) => {
            let found: Vec<Value> = found.iter().map(|f| json!([f.path, f.category])).collect();
            assert_eq!(&found, faults, "{case}");
        }
        (expected, outcome) => panic!("{case}: expected {expected}, got {outcome:?}"),
    }
}

#[test]
fn functions() {
    let service = ServiceName::new("users").unwrap();
    for group in table(include_str!("vectors/fun_config.json")) {
        for row in group["rows"].as_array().unwrap() {
            let mut function = json!({ "request_type": "get_user" });
            let fields = row[0].as_object().unwrap().clone();
            function.as_object_mut().unwrap().extend(fields);
            let case = format!("{}: {}", group["about"], row[0]);
            match FunctionSpec::from_json(&service, &function) {
                Ok(spec) => {
                    assert_eq!(row[1], "ok", "{case}");
                    // What was taken is printed in a form that says the same.
                    let again = FunctionSpec::from_json(&service, &spec.to_json());
                    assert_eq!(again.as_ref(), Ok(&spec), "{case}: {}", spec.to_json());
                    assert_eq!(again.unwrap().to_json(), spec.to_json(), "{case}");
                }
                Err(faults) => {
                    let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
                    assert_eq!(json!(fields), row[1], "{case}: {faults:?}");
                }
            }
        }
    }
}

#[test]
fn permissions() {
    let service = ServiceName::new("users").unwrap();
    for group in table(include_str!("vectors/permissions.json")) {
        let function = json!({ "request_type": "f", "check_permission": group["rule"] });
        let spec = FunctionSpec::from_json(&service, &function).unwrap();
        for row in group["rows"].as_array().unwrap() {
            let call = &row[1];
            let roles = call["roles"].as_array().into_iter().flatten();
            let identity = Identity {
                user_id: call["user"].as_str().map(str::to_owned),
                device_id: None,
                roles: roles.map(|r| r.as_str().unwrap().to_owned()).collect(),
            };
            let mut payloads = match call["raw"].as_str() {
                Some(raw) => vec![Payload::json(raw.to_owned())],
                None => {
                    let args = call.get("args").cloned().unwrap_or_else(|| json!({}));
                    in_both_encodings(&args).to_vec()
                }
            };
            for args in payloads.drain(..) {
                let allowed = allows(&spec.check_permission, &identity, &args);
                assert_eq!(row[2], allowed, "{}: {row}", group["rule"]);
            }
        }
    }
}

/// As the pipeline asks.
fn allows(rule: &Permission, identity: &Identity, args: &Payload) -> bool {
    match rule {
        Permission::Arg(name) => match top_level(args, name) {
            Some(ArgValue::Str(value)) => rule.allows(identity, Some(&value)),
            _ => rule.allows(identity, None),
        },
        rule => rule.allows(identity, None),
    }
}

#[test]
fn requests() {
    for row in table(include_str!("vectors/request_decode.json")) {
        let json = Bytes::from(row["body"].to_string());
        let packed = Bytes::from(rmp_serde::to_vec_named(&row["body"]).unwrap());
        for outcome in [
            Request::from_json(&json),
            Request::from_message_pack(&packed),
        ] {
            let what = &row["what"];
            match (row.get("reads"), outcome) {
                (Some(fields), Ok(request)) => assert_request(what, fields, &request),
                (None, Err(error)) => {
                    let says = row["says"].as_str().unwrap();
                    assert!(error.message.contains(says), "{what}: {}", error.message);
                }
                (_, outcome) => panic!("{what}: {outcome:?}"),
            }
        }
    }
}

fn assert_request(what: &Value, fields: &Value, request: &Request) {
    let mut expected = Map::new();
    for (name, default) in [
        ("request_id", json!("r")),
        ("service", json!("s")),
        ("request_type", json!("t")),
        ("version", Value::Null),
        ("args", Value::Null),
        ("user_id", Value::Null),
        ("device_id", Value::Null),
        ("user_roles", json!([])),
    ] {
        let value = fields.get(name).cloned().unwrap_or(default);
        expected.insert(name.to_owned(), value);
    }
    let read = json!({
        "request_id": request.request_id, "service": request.service,
        "request_type": request.request_type, "version": request.version,
        "args": read_back(&request.args), "user_id": request.claim.user_id,
        "device_id": request.claim.device_id, "user_roles": request.claim.roles,
    });
    assert_eq!(read, Value::Object(expected), "{what}");
}

#[test]
fn versions() {
    for row in table(include_str!("vectors/versions.json")) {
        let texts = row["of"].as_array().unwrap().iter();
        let mut versions: Vec<ApiVersion> = texts
            .map(|v| ApiVersion::new(v.as_str().unwrap()).unwrap())
            .collect();
        for _ in 0..2 {
            let found = latest(&versions).map(ApiVersion::as_str);
            assert_eq!(json!(found), row["latest"], "{}", row["what"]);
            versions.reverse();
        }
    }
}
