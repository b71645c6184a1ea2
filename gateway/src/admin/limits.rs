//! Limits on the operator's port: rules, counts; changes are in force on every gateway.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use sluice_protocol::ErrorCode;

use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::{Desk, answer};
use crate::limiter::{Limit, OperateError};

const CHANGE: Action = Action::write(Area::Limits);

/// `GET /v1/limits`
pub(super) async fn list(State(desk): State<Desk>) -> Response {
    answer::json(
        StatusCode::OK,
        &json!({ "limits": desk.parts.limiter.list() }),
    )
}

/// `GET /v1/limits/{name}?value=…`, one value for each part of the key.
pub(super) async fn status(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let values = values(query.as_deref());
    match desk.parts.limiter.status(&name, &values).await {
        Ok(status) => answer::json(StatusCode::OK, &status),
        Err(error) => refuse(&error),
    }
}

/// `PUT /v1/limits/{name}`, the body a limit as `[[limit]]` has it: changes it, or adds it.
pub(super) async fn put(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let limit = match read(&name, &body) {
        Ok(limit) => limit,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, &why),
    };
    let limiter = &desk.parts.limiter;
    let before = limiter
        .list()
        .into_iter()
        .find(|l| l.limit["name"] == name.as_str());
    let after = limit.to_json();
    let done = match before {
        Some(_) => limiter.update(limit).await,
        None => limiter.add(limit).await,
    };
    match done {
        Ok(()) => {
            let entry = Entry::changed(&operator, CHANGE, &name, json!(before), after.clone());
            desk.audit.add(entry);
            answer::json(StatusCode::OK, &after)
        }
        Err(error) => refuse(&error),
    }
}

/// `DELETE /v1/limits/{name}`
pub(super) async fn remove(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(name): Path<String>,
) -> Response {
    let limiter = &desk.parts.limiter;
    let before = limiter
        .list()
        .into_iter()
        .find(|l| l.limit["name"] == name.as_str());
    match limiter.remove(&name).await {
        Ok(()) => {
            let entry = Entry::changed(&operator, CHANGE, &name, json!(before), json!(null));
            desk.audit.add(entry);
            answer::json(StatusCode::OK, &json!({ "removed": name }))
        }
        Err(error) => refuse(&error),
    }
}

/// `POST /v1/limits/{name}/reset?value=…`; without values, of all keys.
pub(super) async fn reset(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let values = values(query.as_deref());
    match desk.parts.limiter.reset(&name, &values).await {
        Ok(()) => {
            let after = json!({ "reset": name, "values": values });
            let entry = Entry::changed(&operator, CHANGE, &name, json!(null), after.clone());
            desk.audit.add(entry);
            answer::json(StatusCode::OK, &after)
        }
        Err(error) => refuse(&error),
    }
}

/// `POST /v1/limits/{name}/check?value=…`: counts one call of a key, as a call would.
pub(super) async fn check(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let values = values(query.as_deref());
    let body = match desk.parts.limiter.check(&name, &values).await {
        Ok(Ok(quota)) => {
            let remaining = quota.map(|quota| quota.remaining);
            json!({ "admitted": true, "limit": name, "remaining": remaining })
        }
        Ok(Err(refusal)) => {
            let error = refusal.into_error(&name);
            json!({
                "admitted": false, "limit": name, "error_code": error.code_text(),
                "error": error.message, "details": error.details,
            })
        }
        Err(error) => return refuse(&error),
    };
    let after = json!({ "checked": name, "values": values, "admitted": body["admitted"] });
    let entry = Entry::changed(&operator, CHANGE, &name, json!(null), after);
    desk.audit.add(entry);
    answer::json(StatusCode::OK, &body)
}

/// A limit in the body; its name stands in the path.
fn read(name: &str, body: &[u8]) -> Result<Limit, String> {
    let mut value: serde_json::Value =
        serde_json::from_slice(body).map_err(|e| format!("the body: {e}"))?;
    let fields = value.as_object_mut().ok_or("the body is no object")?;
    match fields.get("name") {
        Some(other) if other != name => return Err(format!("the body names {other}")),
        _ => fields.insert("name".to_owned(), name.into()),
    };
    Limit::from_json(&value).map_err(|faults| {
        let all: Vec<String> = faults
            .iter()
            .map(|f| format!("{}: {}", f.field, f.message))
            .collect();
        all.join("; ")
    })
}

/// All `value=…` of a query, in order.
fn values(query: Option<&str>) -> Vec<String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = query.unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.strip_prefix("value="))
        .map(decode)
        .collect()
}

/// Why an operator's wish was not done.
fn refuse(error: &OperateError) -> Response {
    let status = match error {
        OperateError::Unknown(_) => StatusCode::NOT_FOUND,
        OperateError::Exists(_) | OperateError::Busy(_) => StatusCode::CONFLICT,
        OperateError::Values(_) => StatusCode::UNPROCESSABLE_ENTITY,
        OperateError::Full => StatusCode::INSUFFICIENT_STORAGE,
        OperateError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let code = match error {
        OperateError::Unavailable(_) => ErrorCode::LimiterUnavailable,
        OperateError::Full => ErrorCode::Overloaded,
        _ => ErrorCode::InvalidRequest,
    };
    answer::error(status, code, &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_read_in_order() {
        assert_eq!(values(Some("value=a%26b&x=1&value=c+d")), ["a&b", "c d"]);
        assert!(values(None).is_empty());
    }
}
