//! Binary frames of strangers, and the requests in them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sluice_gateway::edge::phoenix::binary;
use sluice_protocol::Request;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(frame) = binary::decode(&bytes) {
        let _ = Request::from_message_pack(&frame.payload.bytes);
    }
});
