//! What a client gets: one envelope for every kind of answer.
//!
//! Exactly `{request_id, success, result, error, async, has_more, can_retry}`, and on errors also
//! `error_code`, `error_source` and `details`. Results are spliced in as they came from the
//! worker, never parsed and printed again.

use bytes::Bytes;

use crate::error::CallError;
use crate::payload::{Encoding, Payload, TranscodeError};
use crate::scan::write_string as write_str;

/// The envelope's variable part; each variant is one row of the table in `docs/client-protocol.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The result of a sync call, or the late result of an async one.
    Result(Payload),
    /// An async call was taken.
    AsyncAck,
    /// A stream was opened.
    StreamAck,
    /// An item of a stream.
    Item {
        /// The item.
        payload: Payload,
        /// Whether nothing follows.
        last: bool,
    },
    /// A stream's end.
    StreamEnd,
    /// Any error, also inside a stream; final.
    Error(Box<CallError>),
}

impl Answer {
    /// Whether no further answer follows for this request.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Result(_) | Self::StreamEnd | Self::Error(_) => true,
            Self::Item { last, .. } => *last,
            Self::AsyncAck | Self::StreamAck => false,
        }
    }

    fn flags(&self) -> (bool, bool, bool, bool) {
        // success, async, has_more, can_retry
        match self {
            Self::Result(_) => (true, false, false, false),
            Self::AsyncAck | Self::StreamEnd => (true, true, false, false),
            Self::StreamAck => (true, true, true, false),
            Self::Item { last, .. } => (true, true, !last, false),
            Self::Error(error) => (false, false, false, error.can_retry),
        }
    }

    fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Result(payload) | Self::Item { payload, .. } => Some(payload),
            Self::AsyncAck | Self::StreamAck | Self::StreamEnd | Self::Error(_) => None,
        }
    }
}

impl From<CallError> for Answer {
    fn from(error: CallError) -> Self {
        Self::Error(Box::new(error))
    }
}

/// One answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The client's id of the request.
    pub request_id: &'a str,
    /// What to say.
    pub answer: &'a Answer,
}

impl Response<'_> {
    /// The envelope in `encoding`.
    ///
    /// # Errors
    /// When the result is in another encoding and has no form in this one.
    pub fn encode(&self, encoding: Encoding) -> Result<Bytes, TranscodeError> {
        match encoding {
            Encoding::Json => {
                let mut out = Vec::with_capacity(self.size_hint());
                self.write_json(&mut out)?;
                Ok(Bytes::from(out))
            }
            Encoding::MessagePack => self.to_message_pack(),
            Encoding::Http => Err(TranscodeError::Unrepresentable("an envelope")),
        }
    }

    /// A good guess at the size of the JSON, in bytes.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        160 + self.request_id.len() + self.answer.payload().map_or(256, |p| p.bytes.len())
    }

    /// Appends the envelope as JSON.
    ///
    /// # Errors
    /// When the result is MessagePack that has no JSON form.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
        let (success, is_async, has_more, can_retry) = self.answer.flags();
        out.extend_from_slice(b"{\"request_id\":");
        write_str(out, self.request_id);
        out.extend_from_slice(if success {
            b",\"success\":true,\"result\":"
        } else {
            b",\"success\":false,\"result\":"
        });
        match self.answer.payload() {
            Some(payload) if payload.encoding == Encoding::Json => {
                out.extend_from_slice(&payload.bytes);
            }
            Some(payload) => out.extend_from_slice(&payload.transcode(Encoding::Json)?.bytes),
            None => out.extend_from_slice(b"null"),
        }
        let Answer::Error(error) = self.answer else {
            out.extend_from_slice(rest(is_async, has_more).as_bytes());
            return Ok(());
        };
        out.extend_from_slice(b",\"error\":");
        write_str(out, &error.message);
        out.extend_from_slice(b",\"async\":false,\"has_more\":false,\"can_retry\":");
        out.extend_from_slice(if can_retry { b"true" } else { b"false" });
        write_error(out, error);
        out.push(b'}');
        Ok(())
    }

    fn to_message_pack(&self) -> Result<Bytes, TranscodeError> {
        // A result that is MessagePack already is spliced in where JSON has a placeholder.
        let Some(payload) = self.answer.payload() else {
            return Ok(Payload::json(self.encode(Encoding::Json)?)
                .transcode(Encoding::MessagePack)?
                .bytes);
        };
        let (success, is_async, has_more, can_retry) = self.answer.flags();
        let payload = payload.transcode(Encoding::MessagePack)?;
        let mut out = Vec::with_capacity(self.size_hint());
        out.push(0x87);
        let text = |out: &mut Vec<u8>, text: &str| {
            // Writing to a vector does not fail.
            let _ = rmpv::encode::write_value(out, &rmpv::Value::from(text));
        };
        text(&mut out, "request_id");
        text(&mut out, self.request_id);
        text(&mut out, "success");
        out.push(0xc2 + u8::from(success));
        text(&mut out, "result");
        out.extend_from_slice(&payload.bytes);
        text(&mut out, "error");
        text(&mut out, "");
        for (name, flag) in [
            ("async", is_async),
            ("has_more", has_more),
            ("can_retry", can_retry),
        ] {
            text(&mut out, name);
            out.push(0xc2 + u8::from(flag));
        }
        Ok(Bytes::from(out))
    }
}

/// What follows the result of a success.
fn rest(is_async: bool, has_more: bool) -> &'static str {
    match (is_async, has_more) {
        (false, _) => r#","error":"","async":false,"has_more":false,"can_retry":false}"#,
        (true, true) => r#","error":"","async":true,"has_more":true,"can_retry":false}"#,
        (true, false) => r#","error":"","async":true,"has_more":false,"can_retry":false}"#,
    }
}

fn write_error(out: &mut Vec<u8>, error: &CallError) {
    out.extend_from_slice(b",\"error_code\":");
    write_str(out, error.code_text());
    out.extend_from_slice(b",\"error_source\":\"");
    out.extend_from_slice(error.source.as_str().as_bytes());
    out.extend_from_slice(b"\",\"details\":{");
    if let Some(details) = &error.details {
        for (key, value) in details.iter().filter(|(key, _)| *key != "executed") {
            write_str(out, key);
            out.push(b':');
            write_value(out, value);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"executed\":\"");
    out.extend_from_slice(error.executed.as_str().as_bytes());
    out.extend_from_slice(b"\"}");
}

fn write_value<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    #[expect(clippy::expect_used, reason = "text and JSON values, into memory")]
    serde_json::to_writer(out, value).expect("text and JSON values serialize");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use serde_json::{Value, json};

    fn rendered(answer: &Answer, encoding: Encoding) -> Value {
        let bytes = Response {
            request_id: "r\"1",
            answer,
        }
        .encode(encoding)
        .unwrap();
        let bytes = Payload { encoding, bytes }
            .transcode(Encoding::Json)
            .unwrap()
            .bytes;
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn each_row_of_the_frame_table() {
        let value = || Payload::json(r#"{"a":[1]}"#);
        let rows = [
            (
                Answer::Result(value()),
                json!([true, false, false, {"a": [1]}]),
            ),
            (Answer::AsyncAck, json!([true, true, false, null])),
            (Answer::StreamAck, json!([true, true, true, null])),
            (
                Answer::Item {
                    payload: value(),
                    last: false,
                },
                json!([true, true, true, {"a": [1]}]),
            ),
            (
                Answer::Item {
                    payload: value(),
                    last: true,
                },
                json!([true, true, false, {"a": [1]}]),
            ),
            (Answer::StreamEnd, json!([true, true, false, null])),
        ];
        for (answer, row) in rows {
            for encoding in [Encoding::Json, Encoding::MessagePack] {
                assert_eq!(
                    rendered(&answer, encoding),
                    json!({
                        "request_id": "r\"1", "success": row[0], "async": row[1],
                        "has_more": row[2], "result": row[3], "error": "", "can_retry": false,
                    })
                );
            }
        }
    }

    #[test]
    fn errors_carry_code_source_and_details() {
        let error =
            CallError::new(ErrorCode::RateLimited, "slow down").with_detail("retry_after_ms", 30);
        let answer = Answer::from(error);
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            assert_eq!(
                rendered(&answer, encoding),
                json!({
                    "request_id": "r\"1", "success": false, "result": null, "error": "slow down",
                    "async": false, "has_more": false, "can_retry": true,
                    "error_code": "rate_limited", "error_source": "client",
                    "details": {"retry_after_ms": 30, "executed": "no"},
                })
            );
        }
    }
}
