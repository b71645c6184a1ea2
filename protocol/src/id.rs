//! Identifiers as types: parsed once, at the edge of the process, and trusted afterwards.
//!
//! Each is UTF-8 of 1 to 128 bytes without control characters. What a subject may carry is a
//! matter of [`crate::subject`], which encodes them; no identifier can break out of its token.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest identifier, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("{what} must be at most {MAX_ID_BYTES} bytes, got {got}")]
    TooLong {
        /// Which identifier.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
    },
    /// The text holds a control character.
    #[error("{0} must not contain control characters")]
    Control(&'static str),
}

/// Checks the rule that all identifiers share; `what` names the identifier in the error.
///
/// # Errors
/// When `text` is empty, longer than [`MAX_ID_BYTES`] or holds a control character.
pub fn check(what: &'static str, text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty(what));
    }
    if text.len() > MAX_ID_BYTES {
        return Err(InvalidId::TooLong {
            what,
            got: text.len(),
        });
    }
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if !plain && text.chars().any(char::is_control) {
        return Err(InvalidId::Control(what));
    }
    Ok(())
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text that follows the rule of [`crate::id`].
            ///
            /// # Errors
            /// When it does not.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check($what, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// The name of a service: what one team deploys, for example `users`.
    ServiceName, "service"
);
identifier!(
    /// The name of a function within a service; `request_type` on the wire.
    FunctionName, "request_type"
);
identifier!(
    /// One running worker of a service. The SDK makes a new one at each start.
    InstanceId, "instance"
);
identifier!(
    /// What a client chose to correlate responses with its request.
    RequestId, "request_id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_any_printable_text_up_to_the_limit() {
        for ok in [
            "a",
            "users",
            "a.b",
            "*",
            ">",
            "with space",
            "ünï",
            &"x".repeat(128),
        ] {
            assert_eq!(ServiceName::new(ok).unwrap().as_str(), ok);
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        assert_eq!(
            ServiceName::new("").unwrap_err().to_string(),
            "service must not be empty"
        );
        assert_eq!(
            FunctionName::new(&"x".repeat(129)).unwrap_err().to_string(),
            "request_type must be at most 128 bytes, got 129"
        );
        assert_eq!(
            RequestId::new("a\nb").unwrap_err().to_string(),
            "request_id must not contain control characters"
        );
    }
}
