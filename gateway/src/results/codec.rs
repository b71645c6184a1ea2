//! Final answers as bytes, for stores outside the process.
//!
//! One line of JSON says what it is, the payload's bytes follow as they are. Gateways of two
//! releases share a store, so an unknown field is ignored and an unknown code becomes `internal`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_protocol::error::ErrorSource;
use sluice_protocol::payload::{Encoding, Payload};
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Executed};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Head {
    Result { message_pack: bool },
    Item { message_pack: bool },
    StreamEnd,
    Error(Box<StoredError>),
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredError {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    custom_code: Option<String>,
    message: String,
    source: String,
    can_retry: bool,
    executed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Map<String, Value>>,
}

/// The bytes of a final answer; `None` for one that is not final.
#[must_use]
pub fn encode(answer: &Answer) -> Option<Vec<u8>> {
    let (head, payload) = match answer {
        Answer::Result(payload) => {
            let message_pack = payload.encoding == Encoding::MessagePack;
            (Head::Result { message_pack }, Some(payload))
        }
        Answer::Item {
            payload,
            last: true,
        } => {
            let message_pack = payload.encoding == Encoding::MessagePack;
            (Head::Item { message_pack }, Some(payload))
        }
        Answer::StreamEnd => (Head::StreamEnd, None),
        Answer::Error(error) => (Head::Error(Box::new(StoredError::from(&**error))), None),
        Answer::Item { last: false, .. } | Answer::AsyncAck | Answer::StreamAck => return None,
    };
    let mut out = serde_json::to_vec(&head).ok()?;
    out.push(b'\n');
    if let Some(payload) = payload {
        out.extend_from_slice(&payload.bytes);
    }
    Some(out)
}

/// Reads what [`encode`] wrote; `None` if it is something else.
#[must_use]
pub fn decode(bytes: &Bytes) -> Option<Answer> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let payload = |message_pack| Payload {
        encoding: match message_pack {
            true => Encoding::MessagePack,
            false => Encoding::Json,
        },
        bytes: bytes.slice(end + 1..),
    };
    Some(match head {
        Head::Result { message_pack } => Answer::Result(payload(message_pack)),
        Head::Item { message_pack } => Answer::Item {
            payload: payload(message_pack),
            last: true,
        },
        Head::StreamEnd => Answer::StreamEnd,
        Head::Error(error) => Answer::from(CallError::from(*error)),
    })
}

impl From<&CallError> for StoredError {
    fn from(error: &CallError) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            custom_code: error.custom_code.clone(),
            message: error.message.clone(),
            source: error.source.as_str().to_owned(),
            can_retry: error.can_retry,
            executed: error.executed.as_str().to_owned(),
            status: error.status,
            details: error.details.as_deref().cloned(),
        }
    }
}

impl From<StoredError> for CallError {
    fn from(stored: StoredError) -> Self {
        let sources = [
            ErrorSource::Client,
            ErrorSource::Gateway,
            ErrorSource::Worker,
        ];
        let source = sources.into_iter().find(|s| s.as_str() == stored.source);
        Self {
            code: ErrorCode::parse(&stored.code).unwrap_or(ErrorCode::Internal),
            custom_code: stored.custom_code,
            message: stored.message,
            source: source.unwrap_or(ErrorSource::Gateway),
            can_retry: stored.can_retry,
            executed: Executed::parse(&stored.executed).unwrap_or(Executed::Unknown),
            status: stored.status,
            details: stored.details.map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_final_answer_is_read_back() {
        let error = CallError::new(ErrorCode::WorkerError, "no\nsuch \"thing\"")
            .with_executed(Executed::Yes, false)
            .with_detail("faults", serde_json::json!([{"path": "a"}]));
        let custom = CallError {
            custom_code: Some("out_of_stock".to_owned()),
            status: Some(418),
            ..error.clone()
        };
        let binary = Payload {
            encoding: Encoding::MessagePack,
            bytes: Bytes::from_static(&[0x92, b'\n', 0xff]),
        };
        for answer in [
            Answer::Result(Payload::json("{\"a\":\n1.10}")),
            Answer::Result(binary.clone()),
            Answer::Item {
                payload: binary,
                last: true,
            },
            Answer::StreamEnd,
            Answer::from(error),
            Answer::from(custom),
        ] {
            let bytes = Bytes::from(encode(&answer).unwrap());
            assert_eq!(decode(&bytes), Some(answer));
        }
        assert_eq!(encode(&Answer::AsyncAck), None);
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        for bytes in ["", "\n", "{}", "{}\n", "{\"kind\":\"odd\"}\n", "[1]\nx"] {
            assert_eq!(decode(&Bytes::from_static(bytes.as_bytes())), None);
        }
        let newer = "{\"kind\":\"error\",\"code\":\"new\",\"message\":\"m\",\"source\":\"moon\",\
                     \"can_retry\":false,\"executed\":\"?\",\"more\":1}\n";
        let Some(Answer::Error(error)) = decode(&Bytes::from_static(newer.as_bytes())) else {
            panic!("a newer gateway's error must be readable");
        };
        assert_eq!(error.code, ErrorCode::Internal);
        assert_eq!(error.executed, Executed::Unknown);
    }
}
