//! Text frames of strangers, and the requests in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_gateway::edge::phoenix::frame::Vsn;
use sluice_gateway::edge::phoenix::text;
use sluice_protocol::Request;
use tokio_tungstenite::tungstenite::Utf8Bytes;

fuzz_target!(|input: &str| {
    let input = Utf8Bytes::from(input);
    for vsn in [Vsn::V1, Vsn::V2] {
        if let Ok(frame) = text::decode(vsn, &input) {
            let _ = Request::from_json(&frame.payload.bytes);
        }
    }
});
