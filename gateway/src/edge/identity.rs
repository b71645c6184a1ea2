//! Who a request is made for.
//!
//! What clients say of themselves: it counts only under `identity.trust_client_identity`, and only
//! for those who show no token and no API key ([`crate::identity`] verifies these).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use sluice_protocol::{CallError, ErrorCode, Identity};

/// The user that a client claims to be.
pub static USER: HeaderName = HeaderName::from_static("x-user-id");
/// The device that it claims to speak from.
pub static DEVICE: HeaderName = HeaderName::from_static("x-device-id");
/// The roles that it claims, parted by commas.
pub static ROLES: HeaderName = HeaderName::from_static("x-user-roles");

/// What every answer 401 says (RFC 9110 §11.6.1): by what a caller may name itself.
pub const CHALLENGE: &str = "Bearer realm=\"sluice\"";

/// The other end of a connection, as an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Most bytes of a user, a device or a role: they travel in headers of messages.
const MAX_BYTES: usize = 512;
/// Most roles.
const MAX_ROLES: usize = 64;

/// The identity of a request whose claim stands in its headers.
///
/// # Errors
/// `invalid_request` when a claim that counts is malformed.
pub fn from_headers(trust_client: bool, headers: &HeaderMap) -> Result<Identity, CallError> {
    if !trust_client {
        return Ok(Identity::anonymous());
    }
    let text = |name: &HeaderName| match headers.get(name) {
        Some(value) => match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Ok(Some(text).filter(|t| !t.is_empty())),
            Err(_) => Err(invalid(format!("header {name} is not UTF-8"))),
        },
        None => Ok(None),
    };
    let roles = text(&ROLES)?.unwrap_or_default().split(',').map(str::trim);
    checked(Identity {
        user_id: text(&USER)?.map(str::to_owned),
        device_id: text(&DEVICE)?.map(str::to_owned),
        roles: roles.filter(|r| !r.is_empty()).map(str::to_owned).collect(),
    })
}

/// The identity of a request whose claim stands in its fields, or else in its headers.
///
/// # Errors
/// As [`from_headers`].
pub fn from_claim(
    trust_client: bool,
    claim: Identity,
    headers: &HeaderMap,
) -> Result<Identity, CallError> {
    if trust_client && claim != Identity::anonymous() {
        return checked(claim);
    }
    from_headers(trust_client, headers)
}

fn checked(identity: Identity) -> Result<Identity, CallError> {
    if identity.roles.len() > MAX_ROLES {
        return Err(invalid(format!("there are more than {MAX_ROLES} roles")));
    }
    let texts = identity.user_id.iter().chain(&identity.device_id);
    if texts.chain(&identity.roles).any(|t| t.len() > MAX_BYTES) {
        return Err(invalid(format!(
            "user, device and each role must be at most {MAX_BYTES} bytes"
        )));
    }
    Ok(identity)
}

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(entries: &[(&HeaderName, &[u8])]) -> HeaderMap {
        let value = |v: &[u8]| HeaderValue::from_bytes(v).unwrap();
        let named = entries.iter().map(|(n, v)| ((*n).clone(), value(v)));
        named.collect()
    }

    #[test]
    fn a_claim_counts_only_where_clients_are_trusted() {
        let headers = headers(&[
            (&USER, "ünï".as_bytes()),
            (&DEVICE, b""),
            (&ROLES, b" a, ,b c,"),
        ]);
        let anonymous = Ok(Identity::anonymous());
        let claim = || Identity {
            user_id: Some("field".to_owned()),
            ..Identity::default()
        };
        assert_eq!(from_headers(false, &headers), anonymous);
        assert_eq!(from_claim(false, claim(), &headers), anonymous);
        let identity = from_headers(true, &headers).unwrap();
        assert_eq!(identity.user_id.as_deref(), Some("ünï"));
        assert_eq!(identity.device_id, None);
        assert_eq!(identity.roles, ["a", "b c"]);
        assert_eq!(from_claim(true, claim(), &headers), Ok(claim()));
        assert_eq!(
            from_claim(true, Identity::anonymous(), &headers),
            Ok(identity)
        );
    }

    #[test]
    fn claims_are_bounded() {
        for bad in [
            headers(&[(&USER, &[b'u'; MAX_BYTES + 1])]),
            headers(&[(&USER, b"\xff")]),
            headers(&[(&ROLES, "r,".repeat(MAX_ROLES + 1).as_bytes())]),
        ] {
            let error = from_headers(true, &bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest);
        }
    }
}
