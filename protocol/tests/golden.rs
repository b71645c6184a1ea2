//! Every message as it stands on the wire, against the files in `tests/golden/`.
//!
//! A difference is a change of the wire format: other versions and other languages rely on these
//! bytes. If it is meant to be, `UPDATE_GOLDEN=1 cargo test -p sluice-protocol --test golden`
//! writes the files anew, and an ADR says why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_protocol::batch::BatchBuilder;
use sluice_protocol::function::{FunctionSpec, ServiceConfig};
use sluice_protocol::headers::{CallHeaders, Credit};
use sluice_protocol::registry::{
    ConfigText, Instance, InstanceState, Message, Parsed, Reason, config_hash, feature,
};
use sluice_protocol::response::Answer;
use sluice_protocol::{
    ApiVersion, CallError, Encoding, ErrorCode, ErrorSource, Executed, Frame, FunctionName,
    Identity, InstanceId, Payload, Response, ServiceName, Subjects, sign,
};

/// Compares with a golden file, or writes it.
fn golden(name: &str, actual: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
        let text = serde_json::to_string_pretty(actual).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
        return;
    }
    let text = std::fs::read_to_string(&path).expect("a golden file for each test");
    let expected: Value = serde_json::from_str(&text).unwrap();
    let (Value::Object(actual), Value::Object(expected)) = (actual, &expected) else {
        panic!("{name} must hold an object");
    };
    for (key, value) in actual {
        assert_eq!(expected.get(key), Some(value), "{name}: {key}");
    }
    let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(actual), "{name}");
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn function(name: &str) -> FunctionName {
    FunctionName::new(name).unwrap()
}

fn instance(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

/// A body as text where it is text, else as hex.
fn body(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Collects headers, each a name and a value, in the order in which they are sent.
#[derive(Default)]
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn put(&mut self) -> impl FnMut(&'static str, &str) + '_ {
        |name, value| self.0.push((name, value.to_owned()))
    }

    fn get<'a>(&'a self) -> impl Fn(&'static str) -> Option<&'a str> {
        |name| {
            let found = self.0.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.as_str())
        }
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(|(n, v)| json!([n, v])).collect()
    }
}

#[test]
fn subjects() {
    let mut out = Map::new();
    for name in [
        "demo",
        "1.2.0",
        "snake_case",
        "a b",
        "*",
        ">",
        "=",
        "$SYS",
        "naïve",
        "日本",
        "a/b:c",
        "%41",
    ] {
        let subjects = Subjects::default();
        let (s, f, i) = (service(name), function(name), instance(name));
        let v = ApiVersion::new(name).unwrap();
        out.insert(
            name.to_owned(),
            json!({
                "call": subjects.call(&s, Some(&v), &f),
                "call_without_version": subjects.call(&s, None, &f),
                "instance_call": subjects.instance_call(&s, &i, Some(&v), &f),
                "instance_all": subjects.instance_all(&s, &i),
                "control": subjects.control(&s, &i),
                "ping": subjects.ping(&s, &i),
                "announce": subjects.announce(&s, &i),
                "pull": subjects.pull(&s, "0123456789abcdef0123456789abcdef"),
                "inbox": subjects.inbox(name, 3),
            }),
        );
        let announced = subjects.parse_announce(&subjects.announce(&s, &i));
        assert_eq!(announced, Some((s, i)));
    }
    let subjects = Subjects::new("acme.prod").unwrap();
    let (s, f) = (service("users"), function("get"));
    out.insert(
        "with another prefix".to_owned(),
        json!({
            "call": subjects.call(&s, None, &f),
            "announce_all": subjects.announce_all(),
            "discover": subjects.discover(),
            "beacon": subjects.beacon(),
            "event": subjects.event(),
            "inbox": subjects.inbox("gw-1", 0),
        }),
    );
    golden("subjects.json", &Value::Object(out));
}

#[test]
fn call_headers() {
    let full = CallHeaders {
        call_id: "c0ffee".into(),
        request_id: "r 1\r\nX: é%".into(),
        identity: Identity {
            user_id: Some("user@example.com, 日本".into()),
            device_id: Some("phone 7".into()),
            roles: vec!["admin".into(), "a,b".into()],
        },
        deadline_ms: 4990,
        attempt: 2,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        credit: Some(Credit {
            items: 64,
            bytes: 262_144,
        }),
        batch: true,
        encoding: Encoding::MessagePack,
    };
    let least = CallHeaders {
        call_id: "c1".into(),
        request_id: "r1".into(),
        identity: Identity::anonymous(),
        deadline_ms: 5000,
        attempt: 1,
        traceparent: None,
        credit: None,
        batch: false,
        encoding: Encoding::Json,
    };
    let mut out = Map::new();
    for (name, call) in [("full", full), ("least", least)] {
        let mut headers = Headers::default();
        call.encode(headers.put());
        assert_eq!(CallHeaders::decode(headers.get()), Ok(call));
        out.insert(name.to_owned(), headers.to_json());
    }
    golden("call_headers.json", &Value::Object(out));
}

fn worker_error() -> CallError {
    let mut error = CallError::new(ErrorCode::WorkerError, "no such user: é, 7")
        .with_detail("id", 7)
        .with_executed(Executed::Yes, false)
        .with_source(ErrorSource::Worker);
    error.custom_code = Some("user_not_found".into());
    error.status = Some(404);
    error
}

fn items(encoding: Encoding, items: &[&[u8]], last: bool) -> Frame {
    let mut builder = BatchBuilder::default();
    for item in items {
        assert!(builder.push(item));
    }
    let items = builder.take(encoding).unwrap();
    Frame::Items {
        first: 3,
        items,
        last,
    }
}

#[test]
fn replies() {
    let value = || Payload::json(r#"{"n": 1.0}"#);
    let mut overloaded =
        CallError::new(ErrorCode::Overloaded, "all busy").with_source(ErrorSource::Worker);
    overloaded.status = Some(503);
    let error = |error: CallError| Frame::Error {
        error: Box::new(error),
        instance: Some("demo-1".into()),
    };
    let item = |payload, last| Frame::Item {
        seq: 3,
        payload,
        last,
    };
    let frames = [
        ("result", Frame::Result(value())),
        (
            "result as MessagePack",
            Frame::Result(Payload::message_pack(vec![0x81, 0xa1, b'n', 1])),
        ),
        ("item", item(value(), false)),
        (
            "item as MessagePack",
            item(Payload::message_pack(vec![0xc3]), false),
        ),
        ("last item", item(value(), true)),
        (
            "items",
            items(Encoding::Json, &[br#"{"n": 1.0}"#, b"2"], false),
        ),
        (
            "last items as MessagePack",
            items(Encoding::MessagePack, &[&[0xc3], &[0xc2]], true),
        ),
        ("end", Frame::End { count: 3 }),
        ("error of the function", error(worker_error())),
        ("error of the worker", error(overloaded)),
        (
            "beat",
            Frame::Beat {
                instance: "demo 1".into(),
                seq: 2,
            },
        ),
        (
            "accepted",
            Frame::Accepted {
                instance: "demo-1".into(),
            },
        ),
    ];
    let mut out = Map::new();
    for (name, frame) in frames {
        let mut headers = Headers::default();
        let bytes = frame.encode(headers.put());
        assert_eq!(Frame::decode(headers.get(), bytes.clone()), Ok(frame));
        out.insert(
            name.to_owned(),
            json!({ "headers": headers.to_json(), "body": body(&bytes) }),
        );
    }
    golden("replies.json", &Value::Object(out));
}

#[test]
fn responses() {
    let value = || Payload::json(r#"{"n":[1,"x"]}"#);
    let limited =
        CallError::new(ErrorCode::RateLimited, "slow down").with_detail("retry_after_ms", 30);
    let faults = json!([{"path": "/age", "category": "missing", "message": "\"age\" is missing"}]);
    let invalid = CallError::new(ErrorCode::InvalidArguments, "args: \"age\" is missing")
        .with_detail("faults", faults);
    let item = |last| Answer::Item {
        payload: value(),
        last,
    };
    let answers = [
        ("result", Answer::Result(value())),
        ("async ack", Answer::AsyncAck),
        ("stream ack", Answer::StreamAck),
        ("stream item", item(false)),
        ("stream last item", item(true)),
        ("stream end", Answer::StreamEnd),
        ("error of the gateway", Answer::from(limited)),
        ("error of the client", Answer::from(invalid)),
        ("error of the worker", Answer::from(worker_error())),
    ];
    let mut out = Map::new();
    for (name, answer) in answers {
        let response = Response {
            request_id: "r \"1\"",
            answer: &answer,
        };
        let text = response.encode(Encoding::Json).unwrap();
        let packed = response.encode(Encoding::MessagePack).unwrap();
        out.insert(
            name.to_owned(),
            json!({ "json": body(&text), "message_pack": hex(&packed) }),
        );
    }
    golden("responses.json", &Value::Object(out));
}

/// A function in which no field has its default.
fn full_function() -> Value {
    json!({
        "request_type": "get_user",
        "version": "1.2.0",
        "response_type": "stream",
        "timeout": 30000,
        "choose_node_mode": {"sticky": "user_id"},
        "arg_types": {
            "user_id": "uuid",
            "name": {"type": "string", "max_bytes": 40, "allow_nil": true},
            "slug": {"type": "string", "pattern": "[a-z-]+", "default_value": "x"},
            "order": {"type": "string", "enum": ["asc", "desc"]},
            "ratio": {"type": "num", "min": 0, "max": 1.5},
            "limit": {"type": "integer", "min": 1, "max": 100, "default_value": 10},
            "deep": "boolean",
            "at": "datetime",
            "day": "naive_datetime",
            "mixed": {"type": "list", "max_items": 3},
            "tags": {"type": "list_string", "max_items": 5, "max_item_bytes": 20},
            "filter": {"type": "map", "required": ["a"], "accept": ["a", "b"]},
            "place": {"type": "object", "fields": {"lat": "num", "lon": "num"}},
            "points": {"type": "list", "items": {"type": "list", "items": {"type": "num", "min": 0}}},
            "more": {"type": "any", "allow_nil": true}
        },
        "arg_orders": "map",
        "check_permission": {"arg": "user_id"},
        "permission_callback": {"function": "auth.check", "extra": {"level": 2}},
        "retry": {"same_node": 2},
        "before_execute": "hooks.quota",
        "after_execute": {"service": "hooks", "function": "v2.log", "extra": [1]},
        "hook_timeout": 1000,
        "request_info": true,
        "disabled": true,
        "description": "Finds a user.",
        "idempotent": true,
        "result_schema": {"type": "object"},
        "routes": ["GET /users/{user_id}"],
        "max_in_flight": 64,
        "max_queue": 128,
        "attempt_timeout": 2000,
        "max_duration": 600000
    })
}

fn config() -> ServiceConfig {
    let hook = json!({"request_type": "check", "internal": true, "retry": 3});
    let text = json!({"functions": [full_function(), {"request_type": "add"}, hook]}).to_string();
    ServiceConfig::parse(&service("users"), &text).unwrap()
}

#[test]
fn functions_and_configs() {
    let full = full_function();
    let spec = FunctionSpec::from_json(&service("users"), &full).unwrap();
    assert_eq!(
        spec.to_json().to_string(),
        full.to_string(),
        "canonical, in this order"
    );
    let text = config().to_text();
    golden(
        "functions.json",
        &json!({
            "function": spec.to_json(),
            "config": text,
            "config_hash": config_hash(&text),
        }),
    );
}

#[test]
fn registry_messages() {
    let config = ConfigText {
        config_version: Some("2024-06-01.1".into()),
        text: r#"{"functions": [ {"request_type":"add"} ]}"#.into(),
    };
    let hash = config_hash(&config.text);
    let full = Instance {
        service: service("users"),
        instance: instance("users-7f"),
        config_hash: hash.clone(),
        state: InstanceState::Starting,
        features: vec![feature::BEAT.into(), feature::CREDIT.into()],
        encodings: vec!["json".into(), "msgpack".into()],
        in_flight: 3,
        capacity: 64,
    };
    let of = |state| Instance {
        state,
        ..full.clone()
    };
    let reason = Reason {
        function: "users.add@1".into(),
        field: "timeout".into(),
        message: "must be a whole number from 100 to 300000, got 5".into(),
    };
    let messages = [
        (
            "announce",
            Message::Announce {
                instance: full.clone(),
                config: config.clone(),
                force: false,
            },
        ),
        (
            "announce by force",
            Message::Announce {
                instance: full.clone(),
                config: config.clone(),
                force: true,
            },
        ),
        ("heartbeat", Message::Heartbeat(of(InstanceState::Ready))),
        (
            "heartbeat while draining",
            Message::Heartbeat(of(InstanceState::Draining)),
        ),
        (
            "leave",
            Message::Leave {
                service: service("users"),
                instance: instance("users-7f"),
            },
        ),
        (
            "discover",
            Message::Discover {
                gateway: "gw-1".into(),
            },
        ),
        (
            "config",
            Message::Config {
                service: service("users"),
                config_hash: hash.clone(),
                config,
            },
        ),
        (
            "accepted",
            Message::Accepted {
                gateway: "gw-1".into(),
                config_hash: hash.clone(),
            },
        ),
        (
            "refused",
            Message::Refused {
                gateway: "gw-1".into(),
                config_hash: hash,
                reasons: vec![reason],
            },
        ),
    ];
    let mut out = Map::new();
    for (name, message) in messages {
        let bytes = message.to_json();
        let parsed = Parsed::parse(&bytes).unwrap();
        assert_eq!(
            (parsed.message, parsed.ignored),
            (message, vec![]),
            "{name}"
        );
        out.insert(name.to_owned(), body(&bytes));
    }
    golden("registry.json", &Value::Object(out));
}

#[test]
fn signatures() {
    let subject = Subjects::default().announce(&service("users"), &instance("users-7f"));
    let leave = Message::Leave {
        service: service("users"),
        instance: instance("users-7f"),
    };
    let message = Bytes::from(leave.to_json());
    let (secret, nonce) = (b"correct horse battery staple", "1717171717000001-9f3c");
    let signature = sign::sign(secret, &subject, nonce, &message);
    assert!(sign::verify(secret, &subject, nonce, &message, &signature));
    golden(
        "signature.json",
        &json!({
            "secret": body(secret),
            "subject": subject,
            "nonce": nonce,
            "body": body(&message),
            "signature": signature,
        }),
    );
}
