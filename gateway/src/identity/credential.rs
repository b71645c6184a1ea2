//! Where a client's credential stands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use sluice_protocol::{CallError, ErrorCode};

/// The header of API keys.
pub static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What Phoenix's clients put before a token that they send as a sub-protocol.
const SUB_PROTOCOL: &str = "base64url.bearer.phx.";
/// More of a sub-protocol than any token may have is not decoded.
const MAX_BYTES: usize = 128 << 10;

/// A credential as a client sent it: nothing is known of it yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A JSON Web Token.
    Token(String),
    /// An API key.
    ApiKey(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(***)",
            Self::ApiKey(_) => "ApiKey(***)",
        })
    }
}

impl Credential {
    /// A bearer's credential: tokens have three parts with dots between, keys have no dots.
    #[must_use]
    pub fn bearer(text: &str) -> Self {
        match text.contains('.') {
            true => Self::Token(text.to_owned()),
            false => Self::ApiKey(text.to_owned()),
        }
    }

    /// The credential of a sub-protocol, if it holds one.
    ///
    /// # Errors
    /// When it should, and is not readable.
    pub fn of_sub_protocol(protocol: &str) -> Result<Option<Self>, CallError> {
        let Some(encoded) = protocol.strip_prefix(SUB_PROTOCOL) else {
            return Ok(None);
        };
        let fault = || refused("the token in the sub-protocol is no base64url of text");
        if encoded.len() > MAX_BYTES {
            return Err(fault());
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('='));
        let text = bytes.ok().and_then(|b| String::from_utf8(b).ok());
        let text = text.ok_or_else(fault)?;
        Ok(Some(text)
            .filter(|t| !t.is_empty())
            .map(|t| Self::bearer(&t)))
    }
}

/// The credential of a request's headers.
///
/// # Errors
/// `unauthenticated` when there is one that cannot be read, or two that differ.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<Credential>, CallError> {
    let mut found = None;
    for value in headers.get_all(AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| {
            let (scheme, rest) = text.trim().split_once(' ')?;
            let rest = rest.trim();
            (scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty()).then_some(rest)
        });
        let bearer = bearer.ok_or_else(|| {
            refused("the header authorization is not \"Bearer \" and a token or API key")
        })?;
        one(&mut found, Credential::bearer(bearer))?;
    }
    for value in headers.get_all(&X_API_KEY) {
        let key = value.to_str().ok().map(str::trim);
        let key = key.filter(|k| !k.is_empty());
        let key = key.ok_or_else(|| refused("the header x-api-key holds no API key"))?;
        one(&mut found, Credential::ApiKey(key.to_owned()))?;
    }
    Ok(found)
}

/// Takes `next`, unless there is another one.
pub(crate) fn one(found: &mut Option<Credential>, next: Credential) -> Result<(), CallError> {
    match found {
        Some(former) if *former != next => Err(refused(
            "there are two credentials, and they differ: send one of them",
        )),
        _ => {
            *found = Some(next);
            Ok(())
        }
    }
}

/// A credential that does not hold.
pub(crate) fn refused(text: impl Into<String>) -> CallError {
    CallError::new(ErrorCode::Unauthenticated, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Result<Option<Credential>, CallError> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        from_headers(&headers)
    }

    #[test]
    fn credentials_of_headers() {
        let token = Credential::Token("a.b.c".to_owned());
        let key = Credential::ApiKey("sk_x".to_owned());
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("authorization", "bEARER  a.b.c ")]), Ok(Some(token)));
        assert_eq!(
            of(&[("authorization", "Bearer sk_x")]),
            Ok(Some(key.clone()))
        );
        assert_eq!(of(&[("x-api-key", "sk_x")]), Ok(Some(key.clone())));
        let both = [("x-api-key", "sk_x"), ("authorization", "Bearer sk_x")];
        assert_eq!(of(&both), Ok(Some(key)));
        for bad in [
            vec![("authorization", "Basic dTpw")],
            vec![("authorization", "Bearer")],
            vec![("authorization", "Bearer ")],
            vec![("authorization", "")],
            vec![("x-api-key", "")],
            vec![("x-api-key", "a"), ("x-api-key", "b")],
            vec![("x-api-key", "a"), ("authorization", "Bearer a.b.c")],
        ] {
            assert_eq!(
                of(&bad).unwrap_err().code,
                ErrorCode::Unauthenticated,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn credentials_of_sub_protocols() {
        let of = Credential::of_sub_protocol;
        assert_eq!(of("phoenix"), Ok(None));
        assert_eq!(of(SUB_PROTOCOL), Ok(None));
        let token = Some(Credential::Token("a.b.c".to_owned()));
        assert_eq!(of("base64url.bearer.phx.YS5iLmM"), Ok(token.clone()));
        assert_eq!(of("base64url.bearer.phx.YS5iLmM="), Ok(token));
        assert!(of("base64url.bearer.phx.!").is_err());
        assert!(of("base64url.bearer.phx._w").is_err());
    }
}
