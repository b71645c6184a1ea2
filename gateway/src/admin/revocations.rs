//! Who is let in no more, on the operator's port; it holds on every gateway.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_protocol::ErrorCode;

use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::openapi::{self, Field};
use super::{Desk, answer};
use crate::identity::{Revocation, RevokeError, Revoked};

const CHANGE: Action = Action::write(Area::Identity);

/// The body of what revokes and lets in again: one of them.
pub(super) const BODY: &[Field] = &[
    Field::optional("user", openapi::TEXT),
    Field::optional("token", openapi::TEXT),
    Field::optional("api_key", openapi::TEXT),
];

/// `GET /v1/revocations`: newest first.
pub(super) async fn list(State(desk): State<Desk>) -> Response {
    let revoked = desk.parts.identifier.revoked();
    let told: Vec<Value> = revoked.iter().map(tell).collect();
    answer::json(StatusCode::OK, &json!({ "revocations": told }))
}

/// `POST /v1/revocations`, the body one of `{"user": …}`, `{"token": …}`, `{"api_key": …}`.
pub(super) async fn add(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    body: Bytes,
) -> Response {
    let what = match read(&body) {
        Ok(what) => what,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, &why),
    };
    let target = format!("{} {}", what.kind(), what.value());
    let revoked = match desk.parts.identifier.revoke(what) {
        Ok(revoked) => tell(&revoked),
        Err(error) => return refusal(&error),
    };
    let entry = Entry::changed(&operator, CHANGE, &target, Value::Null, revoked.clone());
    desk.audit.add(entry);
    answer::json(StatusCode::OK, &revoked)
}

/// `DELETE /v1/revocations`, the body as above: it is let in again.
pub(super) async fn remove(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    body: Bytes,
) -> Response {
    let what = match read(&body) {
        Ok(what) => what,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, &why),
    };
    let target = format!("{} {}", what.kind(), what.value());
    let told = json!({ (what.kind()): what.value() });
    let was_revoked = desk.parts.identifier.restore(what);
    let entry = Entry::changed(&operator, CHANGE, &target, told.clone(), Value::Null);
    desk.audit.add(entry);
    let mut told = told;
    told["was_revoked"] = was_revoked.into();
    answer::json(StatusCode::OK, &told)
}

fn refusal(error: &RevokeError) -> Response {
    let text = error.to_string();
    match error {
        RevokeError::UnknownApiKey(_) => answer::unknown(&text),
        // Not 503: to try again alone changes nothing.
        RevokeError::Full { .. } => answer::error(
            StatusCode::INSUFFICIENT_STORAGE,
            ErrorCode::Overloaded,
            &text,
        ),
    }
}

fn tell(revoked: &Revoked) -> Value {
    json!({ (revoked.what.kind()): revoked.what.value(), "at": revoked.at })
}

fn read(body: &[u8]) -> Result<Revocation, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("the body: {e}"))?;
    let fields = value.as_object().ok_or("the body is no object")?;
    let mut fields = fields.iter();
    let (Some((kind, value)), None) = (fields.next(), fields.next()) else {
        return Err("expected one field: user, token or api_key".to_owned());
    };
    let value = value
        .as_str()
        .ok_or_else(|| format!("{kind}: expected text"))?;
    Revocation::new(kind, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_one_thing_to_revoke() {
        let user = Revocation::User("ann".to_owned());
        assert_eq!(read(br#"{"user": "ann"}"#), Ok(user));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"user": "a", "token": "b"}"#,
            r#"{"user": 1}"#,
            r#"{"user": ""}"#,
            r#"{"role": "a"}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"user": "{}"}}"#, "x".repeat(513));
        assert!(read(long.as_bytes()).is_err());
    }
}
