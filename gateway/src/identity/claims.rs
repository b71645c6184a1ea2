//! What a verified token says: whether it counts here and now, and for whom.

use std::time::Duration;

use serde_json::{Map, Value};
use sluice_protocol::Identity;

use super::token::TokenError;
use crate::config::JwtOptions;

/// Most bytes of a user, a device or a role: they travel in headers of messages.
const MAX_BYTES: usize = 512;
/// Most roles.
const MAX_ROLES: usize = 64;

/// The moments of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Times {
    pub(super) expires: Option<u64>,
    pub(super) issued: Option<u64>,
}

/// Checks issuer, audience and times at `now`, the time since 1970.
pub(super) fn check(
    claims: &Map<String, Value>,
    options: &JwtOptions,
    now: Duration,
) -> Result<Times, TokenError> {
    let wrong = |text: String| Err(TokenError::Claim(text));
    let now = now.as_secs();
    let leeway = options.leeway.as_secs();
    let expires = seconds(claims, "exp")?;
    match expires {
        Some(at) if at.saturating_add(leeway) <= now => return Err(TokenError::Expired),
        None if options.require_exp => return wrong("it has no \"exp\"".to_owned()),
        _ => {}
    }
    if seconds(claims, "nbf")?.is_some_and(|at| at > now.saturating_add(leeway)) {
        return Err(TokenError::NotYet);
    }
    if !options.issuers.is_empty() {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !issuer.is_some_and(|iss| options.issuers.iter().any(|i| i == iss)) {
            return wrong("its issuer (\"iss\") is not accepted".to_owned());
        }
    }
    if !options.any_audience {
        let ours = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|aud| options.audiences.iter().any(|a| a == aud))
        };
        let meant = match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if !meant {
            return wrong("its audience (\"aud\") is another".to_owned());
        }
    }
    Ok(Times {
        expires: expires.map(|at| at.saturating_add(leeway)),
        issued: seconds(claims, "iat")?,
    })
}

/// A claim that is a moment: a number, which may have a fraction.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name).filter(|v| !v.is_null()) else {
        return Ok(None);
    };
    let whole = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        // The cast saturates.
        (number >= 0.0).then_some(number as u64)
    });
    match whole {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(TokenError::Claim(format!("{name:?} is no time"))),
    }
}

/// Whom the claims name.
pub(super) fn identity(
    claims: &Map<String, Value>,
    options: &JwtOptions,
) -> Result<Identity, TokenError> {
    let wrong = |text: String| TokenError::Claim(text);
    let user_id = text(claims, &options.user_claim)?;
    let user_id = user_id.ok_or_else(|| {
        wrong(format!(
            "it names no user: {:?} is missing",
            options.user_claim
        ))
    })?;
    let roles = match find(claims, &options.roles_claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(all)) => all
            .split([' ', ','])
            .filter(|r| !r.is_empty())
            .map(str::to_owned)
            .collect(),
        Some(Value::Array(list)) => {
            let texts = list.iter().map(|role| role.as_str().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            texts.ok_or_else(|| wrong("its roles are not all text".to_owned()))?
        }
        Some(_) => return Err(wrong("its roles are neither text nor a list".to_owned())),
    };
    let device_id = text(claims, &options.device_claim)?;
    if roles.len() > MAX_ROLES || roles.iter().any(|role| role.len() > MAX_BYTES) {
        return Err(wrong(format!(
            "it may have {MAX_ROLES} roles of {MAX_BYTES} bytes each"
        )));
    }
    Ok(Identity {
        user_id: Some(user_id),
        device_id,
        roles,
    })
}

fn text(claims: &Map<String, Value>, path: &str) -> Result<Option<String>, TokenError> {
    let text = match find(claims, path) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        // Some issuers number their users.
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        Some(_) => return Err(TokenError::Claim(format!("{path:?} is no text"))),
    };
    if text.len() > MAX_BYTES {
        let message = format!("{path:?} is longer than {MAX_BYTES} bytes");
        return Err(TokenError::Claim(message));
    }
    Ok(Some(text).filter(|t| !t.is_empty()))
}

/// A claim by its own name, which may have dots (`https://example.com/roles`), or else by a path.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let mut value = claims.get(parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(part)?;
    }
    Some(value)
}
