//! Args of strangers against `arg_types` of strangers: never a panic, and what the rules saw is what
//! a reader of JSON sees in the worker.
//!
//! The input is the types, a zero byte, and the args; without types the args stand alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use sluice_protocol::argument::{ArgTypes, ArgValue, check, one_level_down, positional, top_level};
use sluice_protocol::{Encoding, Payload};

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let types = second.and_then(|_| serde_json::from_slice(first).ok());
    let types = types.and_then(|types: Value| ArgTypes::from_json(&types).ok());
    let args = second.unwrap_or(first).to_vec();
    if let Some(types) = &types {
        let again = ArgTypes::from_json(&types.to_json()).expect("printed types are types");
        assert_eq!(again.to_json(), types.to_json());
    }
    seen_alike(types.as_ref(), Payload::json(args.clone()));
    let packed = Payload::message_pack(args);
    if check(types.as_ref(), packed.clone()).is_ok() {
        if let Ok(json) = packed.transcode(Encoding::Json) {
            assert!(check(types.as_ref(), json).is_ok());
        }
    }
});

fn seen_alike(types: Option<&ArgTypes>, args: Payload) {
    let Ok(checked) = check(types, args.clone()) else {
        let _ = one_level_down(&args, "a");
        return;
    };
    let sent: Map<String, Value> =
        serde_json::from_slice(&checked.payload().bytes).expect("checked args are an object");
    for (name, value) in &sent {
        let found = top_level(checked.payload(), name).expect("what a worker sees is found");
        match found {
            ArgValue::Str(text) => assert_eq!(*value, *text),
            ArgValue::Other(raw) => assert_eq!(
                serde_json::from_str::<Value>(&raw).ok().as_ref(),
                Some(value)
            ),
        }
    }
    let Some(types) = types.filter(|types| !types.0.is_empty()) else {
        return;
    };
    assert!(sent.keys().all(|name| types.get(name).is_some()));
    let values = positional(Some(types), None, &checked).expect("JSON is JSON");
    for (name, value) in types.names().zip(&values) {
        assert_eq!(sent.get(name).unwrap_or(&Value::Null), value);
    }
}
