//! A response, and that the version which made it is on its way out.
//!
//! Responses have exactly the fields that they have. Only the first one of a call to a version
//! that an operator has marked gets one more, `deprecation`, at its end.

use bytes::Bytes;
use sluice_protocol::payload::{Encoding, TranscodeError};
use sluice_protocol::response::Answer;
use sluice_protocol::{Payload, Response};

/// The field, in MessagePack: a text of 11 bytes.
const NAME: &[u8] = b"\xabdeprecation";
/// Most entries of a map whose head is one byte.
const FIXMAP_MAX: u8 = 0x8f;

/// A response with the field, or without.
#[derive(Debug)]
pub(super) struct Noticed<'a> {
    pub(super) response: Response<'a>,
    /// JSON.
    notice: Option<&'a str>,
}

impl<'a> Noticed<'a> {
    pub(super) fn new(request_id: &'a str, answer: &'a Answer, notice: Option<&'a str>) -> Self {
        Self {
            response: Response { request_id, answer },
            notice,
        }
    }

    /// The same about another answer.
    pub(super) fn with<'b>(&'b self, answer: &'b Answer) -> Noticed<'b> {
        Noticed::new(self.response.request_id, answer, self.notice)
    }

    pub(super) fn size_hint(&self) -> usize {
        self.response.size_hint() + self.notice.map_or(0, |n| n.len() + 16)
    }

    pub(super) fn write_json(&self, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
        self.response.write_json(out)?;
        if let Some(notice) = self.notice {
            // The envelope's own end.
            out.pop();
            out.extend_from_slice(b",\"deprecation\":");
            out.extend_from_slice(notice.as_bytes());
            out.push(b'}');
        }
        Ok(())
    }

    pub(super) fn encode(&self, encoding: Encoding) -> Result<Bytes, TranscodeError> {
        let Some(notice) = self.notice else {
            return self.response.encode(encoding);
        };
        if encoding == Encoding::Json {
            let mut out = Vec::with_capacity(self.size_hint());
            self.write_json(&mut out)?;
            return Ok(out.into());
        }
        let whole = self.response.encode(encoding)?;
        let notice = Payload::json(notice.to_owned()).transcode(encoding)?;
        let Some((head, rest)) = whole.split_first().filter(|(h, _)| **h < FIXMAP_MAX) else {
            return Ok(whole);
        };
        let parts = [&[*head + 1], rest, NAME, &notice.bytes];
        Ok(parts.concat().into())
    }
}

#[cfg(test)]
mod tests {
    use sluice_protocol::{CallError, ErrorCode};

    use super::*;

    const NOTICE: &str = r#"{"at":5,"link":"https://a"}"#;

    #[test]
    fn the_field_stands_at_the_end_in_both_encodings() {
        let answers = [
            Answer::Result(Payload::json(r#"{"a":1}"#)),
            Answer::AsyncAck,
            Answer::from(CallError::new(ErrorCode::Timeout, "late")),
        ];
        for answer in &answers {
            let plain = Noticed::new("r", answer, None);
            let noticed = Noticed::new("r", answer, Some(NOTICE));
            for encoding in [Encoding::Json, Encoding::MessagePack] {
                let read = |n: &Noticed<'_>| -> serde_json::Value {
                    let bytes = n.encode(encoding).unwrap();
                    match encoding {
                        Encoding::Json | Encoding::Http => serde_json::from_slice(&bytes).unwrap(),
                        Encoding::MessagePack => rmp_serde::from_slice(&bytes).unwrap(),
                    }
                };
                let mut expected = read(&plain);
                expected["deprecation"] = serde_json::from_str(NOTICE).unwrap();
                assert_eq!(read(&noticed), expected);
            }
        }
    }
}
