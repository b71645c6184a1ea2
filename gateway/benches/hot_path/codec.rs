//! What is read and written for each call.

use bytes::Bytes;
use divan::{Bencher, black_box};
use serde_json::json;
use sluice_protocol::argument::check;
use sluice_protocol::{Frame, Payload, Request};

use crate::rig::{args, spec};

#[divan::bench]
fn request_from_json(bencher: Bencher<'_, '_>) {
    let args = args();
    let text = format!(
        r#"{{"user_id":"u1","request_id":"r1","service":"s","request_type":"f","args":{args}}}"#
    );
    let body = Bytes::from(text);
    bencher.bench(|| Request::from_json(black_box(&body)).unwrap());
}

#[divan::bench]
fn args_against_their_types(bencher: Bencher<'_, '_>) {
    let spec = spec(json!({}));
    let args = Payload::json(args());
    bencher.bench(|| check(spec.arg_types.as_ref(), black_box(args.clone())).unwrap());
}

#[divan::bench]
fn frame_decode_result(bencher: Bencher<'_, '_>) {
    let mut headers: Vec<(&str, String)> = Vec::new();
    let result = Frame::Result(Payload::json(args()));
    let body = result.encode(|name, value| headers.push((name, value.to_owned())));
    let get = |name: &str| {
        let found = headers.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    };
    bencher.bench(|| Frame::decode(get, black_box(body.clone())).unwrap());
}

#[divan::bench]
fn frame_encode_item(bencher: Bencher<'_, '_>) {
    let item = Frame::Item {
        seq: 7,
        payload: Payload::json(args()),
        last: false,
    };
    bencher.bench(|| {
        black_box(&item).encode(|name, value| {
            black_box((name, value));
        })
    });
}
