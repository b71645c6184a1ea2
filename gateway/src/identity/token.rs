//! A token: read with care, verified by a key that was there before it came.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::{KeySet, algorithm};

/// Why a token does not hold. The text is for its bearer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// No key of this name is known.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// No key that is known takes its algorithm, or the signature is not that key's.
    #[error("the token's signature does not hold")]
    Signature,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim is missing or wrong.
    #[error("the token is not for this gateway: {0}")]
    Claim(String),
    /// It was revoked.
    #[error("the token has been revoked")]
    Revoked,
    /// There are no keys yet: those that are fetched have never arrived.
    #[error("the keys that verify tokens are not there yet; try again")]
    NoKeys,
    /// No API key is this one.
    #[error("the API key is not known")]
    UnknownApiKey,
}

/// The parts of a token that were read before its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    /// The algorithm that it says.
    pub algorithm: Algorithm,
    /// The name of its key.
    pub kid: Option<String>,
    signed: &'a str,
    signature: &'a str,
    claims: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// What a verifier must understand (RFC 7515 §4.1.11): nothing that is understood here.
    #[serde(default)]
    crit: Option<Value>,
}

/// Reads a token's header. Takes any bytes of any length: longer than `most`, they are refused
/// unread.
///
/// # Errors
/// When it is no token, or one that no key could verify.
pub fn parse(token: &str, most: usize) -> Result<Unverified<'_>, TokenError> {
    if token.len() > most {
        return Err(TokenError::Malformed("it is too long"));
    }
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(TokenError::Malformed("it has no three parts"))?;
    let (header, claims) = signed
        .split_once('.')
        .filter(|(_, claims)| !claims.contains('.'))
        .ok_or(TokenError::Malformed("it has no three parts"))?;
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::Malformed("its header is no base64url"))?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| TokenError::Malformed("its header is no JSON object with \"alg\""))?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed("it wants extensions (\"crit\")"));
    }
    let algorithm = algorithm(&header.alg)
        .map_err(|_| TokenError::Malformed("its algorithm is none that is accepted"))?;
    Ok(Unverified {
        algorithm,
        kid: header.kid,
        signed,
        signature,
        claims,
    })
}

impl Unverified<'_> {
    /// The claims, if a key of `keys` has signed them.
    ///
    /// # Errors
    /// When none has, or they are no object.
    pub(super) fn verify(&self, keys: &KeySet) -> Result<Map<String, Value>, TokenError> {
        let candidates = keys.candidates(self.kid.as_deref(), self.algorithm);
        let message = self.signed.as_bytes();
        if !candidates
            .iter()
            .any(|key| key.verifies(self.algorithm, message, self.signature))
        {
            let known = self.kid.as_deref().is_none_or(|kid| keys.has(kid));
            return Err(match known {
                true => TokenError::Signature,
                false => TokenError::UnknownKey,
            });
        }
        let claims = URL_SAFE_NO_PAD
            .decode(self.claims)
            .map_err(|_| TokenError::Malformed("its claims are no base64url"))?;
        serde_json::from_slice(&claims)
            .map_err(|_| TokenError::Malformed("its claims are no JSON object"))
    }
}
