use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{Error, Result};

/// A gateway's answer, read strictly: a missing or an unknown field is an error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Echo of the request's id.
    #[serde(deserialize_with = "required")]
    pub request_id: Option<String>,
    /// Of this frame, not of the call: a stream's items succeed one by one.
    pub success: bool,
    /// What the worker answered; null on errors.
    pub result: Value,
    /// Text for people; empty on success.
    pub error: String,
    /// An ack, or a frame of a stream.
    #[serde(rename = "async")]
    pub is_async: bool,
    /// More frames follow.
    pub has_more: bool,
    /// The same call may be sent again.
    pub can_retry: bool,
    /// Stable code of an error.
    pub error_code: Option<String>,
    /// Whose fault it was: `client`, `gateway` or `worker`.
    pub error_source: Option<String>,
    /// More about an error.
    pub details: Option<Value>,
}

impl Envelope {
    /// Reads an envelope from JSON.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let envelope: Self = serde_json::from_slice(body).map_err(|error| {
            let body: String = String::from_utf8_lossy(body).chars().take(500).collect();
            Error::because(format!("not an envelope: {body:?}"), error)
        })?;
        envelope.check()
    }

    /// What holds for each envelope beyond its fields.
    fn check(self) -> Result<Self> {
        let named = self.error_code.is_some() && self.error_source.is_some();
        let clear = named && !self.error.is_empty() && self.result.is_null() && !self.has_more;
        let clean = self.error_code.is_none() && self.error.is_empty() && !self.can_retry;
        if if self.success { clean } else { clear } {
            return Ok(self);
        }
        Err(Error::new(format!(
            "an envelope that contradicts itself: {self:?}"
        )))
    }

    /// The error code, or `""`.
    pub fn code(&self) -> &str {
        self.error_code.as_deref().unwrap_or_default()
    }

    /// If it is the whole answer of a call: not an ack, and not a frame of a stream.
    pub fn is_final(&self) -> bool {
        !self.is_async && !self.has_more
    }
}

/// Null is allowed, absence is not.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}
