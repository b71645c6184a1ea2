//! Who may do what at the admin port. Nothing is allowed by default.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use sluice_protocol::ErrorCode;
use subtle::ConstantTimeEq;

use super::action::{Action, Grants};
use super::answer;
use super::audit::{Audit, Entry};
use crate::telemetry::Telemetry;

/// A token that may be used, and what for. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorToken {
    /// Who holds it: shown in the audit.
    pub name: String,
    /// What it allows.
    pub grants: Grants,
    // Tokens are long and random: a plain hash of one cannot be turned back.
    hash: [u8; 32],
}

impl OperatorToken {
    /// A token as it was configured.
    #[must_use]
    pub fn new(name: &str, token: &str, grants: Grants) -> Self {
        Self {
            name: name.to_owned(),
            grants,
            hash: Sha256::digest(token).into(),
        }
    }

    pub(crate) fn is_same_token(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

/// The operator of a request that was let in.
#[derive(Debug, Clone)]
pub(super) struct Operator(pub(super) Arc<str>);

/// Lets requests in, or refuses them.
#[derive(Debug)]
pub(super) struct Access {
    tokens: Vec<OperatorToken>,
    anonymous_read: bool,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    Missing,
    Unknown,
    Weak { name: String },
}

impl Access {
    pub(super) fn new(tokens: Vec<OperatorToken>, anonymous_read: bool) -> Self {
        Self {
            tokens,
            anonymous_read,
        }
    }

    fn check(&self, headers: &HeaderMap, action: Action) -> Result<Operator, Denied> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return if self.anonymous_read && !action.write {
                Ok(Operator("anonymous".into()))
            } else {
                Err(Denied::Missing)
            };
        };
        let token = bearer(header.as_bytes()).ok_or(Denied::Unknown)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        // Every token is compared, each in constant time: time tells nothing of which was near.
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Denied::Unknown)?;
        if token.grants.allows(action) {
            Ok(Operator(token.name.as_str().into()))
        } else {
            let name = token.name.clone();
            Err(Denied::Weak { name })
        }
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// What the guard of one route needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) access: Arc<Access>,
    pub(super) audit: Arc<Audit>,
    pub(super) action: Action,
    pub(super) telemetry: Arc<Telemetry>,
}

/// Lets a request through to its route, or refuses and notes it.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let action = guard.action;
    let response = pass(&guard, request, next).await;
    let status = response.status().as_u16();
    guard.telemetry.admin_request(action.to_string(), status);
    response
}

async fn pass(guard: &Guard, mut request: Request, next: Next) -> Response {
    let action = guard.action;
    match guard.access.check(request.headers(), action) {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            answer::in_our_form(next.run(request).await).await
        }
        Err(denied) => {
            let who = match &denied {
                Denied::Weak { name } => name.as_str(),
                Denied::Missing | Denied::Unknown => "unknown",
            };
            let what = format!("{} {}", request.method(), request.uri().path());
            guard.audit.add(Entry::refused(who, action, &what));
            refusal(&denied, action)
        }
    }
}

fn refusal(denied: &Denied, action: Action) -> Response {
    let (status, code, text) = match denied {
        Denied::Missing => (
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthenticated,
            format!("{action} needs a token: Authorization: Bearer … (admin.tokens)"),
        ),
        Denied::Unknown => (
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthenticated,
            "this token is not known here".to_owned(),
        ),
        Denied::Weak { name } => (
            StatusCode::FORBIDDEN,
            ErrorCode::PermissionDenied,
            format!("the token of {name} does not allow {action}"),
        ),
    };
    let mut response = answer::error(status, code, &text);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = axum::http::HeaderValue::from_static("Bearer realm=\"sluice admin\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response.into_response()
}
