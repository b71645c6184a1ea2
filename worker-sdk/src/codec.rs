//! Args and results: between bytes in the caller's encoding and Rust types.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sluice_protocol::{Encoding, Payload};

use crate::error::Error;

/// The args as `T`.
pub(crate) fn decode_args<T: DeserializeOwned>(args: &Payload) -> Result<T, Error> {
    let fault = |message: String| {
        Error::invalid_arguments(format!("the args do not fit: {message}")).details(json!({
            "faults": [{ "path": "", "category": "decode", "message": message }]
        }))
    };
    match args.encoding {
        // `nats req <subject> ''` means a call without args.
        Encoding::Json if args.bytes.is_empty() => {
            serde_json::from_slice(b"{}").map_err(|e| fault(e.to_string()))
        }
        Encoding::Json => serde_json::from_slice(&args.bytes).map_err(|e| fault(e.to_string())),
        Encoding::MessagePack => {
            rmp_serde::from_slice(&args.bytes).map_err(|e| fault(e.to_string()))
        }
        Encoding::Http => Err(fault("an HTTP request is for a resource".to_owned())),
    }
}

/// A result or an item, in the encoding that the caller wants.
pub(crate) fn encode<T: Serialize>(value: &T, encoding: Encoding) -> Result<Payload, Error> {
    encode_sized(value, encoding, 0)
}

/// The same, of a value that is likely to have `size` bytes.
pub(crate) fn encode_sized<T: Serialize>(
    value: &T,
    encoding: Encoding,
    size: usize,
) -> Result<Payload, Error> {
    // One large value does not make all that follow it large.
    let mut bytes = Vec::with_capacity(size.clamp(128, 16 * 1024));
    match encoding {
        Encoding::Json => serde_json::to_writer(&mut bytes, value).map_err(Error::internal)?,
        Encoding::MessagePack => {
            rmp_serde::encode::write_named(&mut bytes, value).map_err(Error::internal)?;
        }
        // Only resources are called so, and they answer otherwise.
        Encoding::Http => return Err(Error::internal("a value is no HTTP response")),
    }
    Ok(Payload {
        encoding,
        bytes: Bytes::from(bytes),
    })
}

/// Another worker's result as `T`.
pub(crate) fn decode_result<T: DeserializeOwned>(result: &Payload) -> Result<T, Error> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::internal(format!(
            "the result of the called function does not fit: {e}"
        ))
    };
    match result.encoding {
        Encoding::Json => serde_json::from_slice(&result.bytes).map_err(|e| wrong(&e)),
        Encoding::MessagePack => rmp_serde::from_slice(&result.bytes).map_err(|e| wrong(&e)),
        Encoding::Http => Err(wrong(&"it is an HTTP response")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn both_encodings_are_read_and_written() {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let value = json!({"a": [1, "x", null, 1.5]});
            let payload = encode(&value, encoding).unwrap();
            assert_eq!(payload.encoding, encoding);
            assert_eq!(decode_args::<Value>(&payload).unwrap(), value);
        }
    }

    #[test]
    fn args_that_do_not_fit_are_the_callers_fault_and_did_not_run() {
        let error = decode_args::<u8>(&Payload::json("{}")).unwrap_err();
        assert_eq!(
            (error.code(), error.http_status()),
            ("invalid_arguments", 422)
        );
        assert_eq!(error.was_executed(), sluice_protocol::Executed::No);
    }

    proptest! {
        #[test]
        fn strangers_args_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_args::<Value>(&Payload::json(bytes.clone()));
            let _ = decode_args::<Value>(&Payload::message_pack(bytes));
        }
    }
}
