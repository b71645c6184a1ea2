//! Diagnostics on the operator's port. What concerns every gateway is asked of every gateway; the
//! answers stand in a list, this gateway's first.

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_protocol::{ErrorCode, Subjects};

use super::openapi::{self, Field};
use super::{Desk, answer};
use crate::diagnostics::Question;
use crate::diagnostics::export::{self, Options, config_form, map_form};
use crate::diagnostics::trace::Filter;

/// `GET /v1/health`
pub(super) async fn health(State(desk): State<Desk>) -> Response {
    all(&desk, &Question::Health).await
}

/// `GET /v1/cluster`
pub(super) async fn cluster(State(desk): State<Desk>) -> Response {
    all(&desk, &Question::Cluster).await
}

/// `GET /v1/cluster/stats`
pub(super) async fn traffic(State(desk): State<Desk>) -> Response {
    all(&desk, &Question::Traffic).await
}

/// `GET /v1/verify/{service}/{version}`
pub(super) async fn verify(
    State(desk): State<Desk>,
    Path((service, version)): Path<(String, String)>,
) -> Response {
    all(&desk, &Question::Verify { service, version }).await
}

/// Which version of a function.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    version: Option<String>,
}

/// `GET /v1/flow/{service}/{function}?version=`
pub(super) async fn flow(
    State(desk): State<Desk>,
    Path((service, function)): Path<(String, String)>,
    Query(query): Query<Version>,
) -> Response {
    let question = Question::Flow {
        service,
        function,
        version: query.version,
    };
    all(&desk, &question).await
}

/// What a request does not say of its client.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    address: Option<IpAddr>,
    /// The id of the client's API key.
    api_key: Option<String>,
}

/// A request as clients send it.
pub(super) const REQUEST: &[Field] = &[
    Field::required("service", openapi::TEXT),
    Field::required("request_type", openapi::TEXT),
    Field::optional("version", openapi::TEXT_OR_NULL),
    Field::optional("args", openapi::OBJECT),
    Field::optional("request_id", openapi::TEXT),
    Field::optional("user_id", openapi::TEXT_OR_NULL),
    Field::optional("device_id", openapi::TEXT_OR_NULL),
    Field::optional("user_roles", openapi::TEXTS),
    Field::optional("idempotency_key", openapi::TEXT),
    Field::optional("trace", openapi::TEXT),
    Field::optional("timeout_ms", openapi::MILLISECONDS),
];

/// `POST /v1/explain?address=&api_key=`, the body a whole request as clients send it. Nothing is sent, nothing
/// is counted.
pub(super) async fn explain(
    State(desk): State<Desk>,
    Query(from): Query<From>,
    body: Bytes,
) -> Response {
    match serde_json::from_slice::<Value>(&body) {
        Ok(request) => {
            let question = Question::Explain {
                request,
                address: from.address,
                api_key: from.api_key,
            };
            all(&desk, &question).await
        }
        Err(error) => invalid(&format!("the body: {error}")),
    }
}

/// Which functions, in which form.
#[derive(Debug, Deserialize)]
pub(super) struct Export {
    service: Option<String>,
    #[serde(default)]
    form: Form,
    user_id: Option<String>,
    device_id: Option<String>,
    request_id: Option<String>,
    event: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Map,
    Config,
}

/// `GET /v1/export?service=&form=map|config&user_id=&device_id=&request_id=&event=`
pub(super) async fn export(State(desk): State<Desk>, Query(query): Query<Export>) -> Response {
    let snapshot = desk.parts.registry.snapshot().clone();
    let functions = export::latest(&snapshot, query.service.as_deref());
    if functions.is_empty() && query.service.is_some() {
        let text = "no function of this service is known and enabled";
        return answer::error(StatusCode::NOT_FOUND, ErrorCode::UnknownFunction, text);
    }
    if let Form::Config = query.form {
        let subjects = Subjects::new(&desk.parts.config.nats.prefix);
        let text = subjects
            .map_err(|e| e.to_string())
            .and_then(|subjects| config_form(&functions, &subjects));
        return match text {
            Ok(text) => ([(CONTENT_TYPE, "application/toml")], text).into_response(),
            Err(error) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                answer::error(status, ErrorCode::Internal, &error)
            }
        };
    }
    let default = Options::default();
    let options = Options {
        user_id: query.user_id.unwrap_or(default.user_id),
        device_id: query.device_id.unwrap_or(default.device_id),
        request_id: query.request_id.unwrap_or(default.request_id),
        event: query.event.unwrap_or(default.event),
        ..Options::default()
    };
    answer::json(StatusCode::OK, &map_form(&functions, &options))
}

/// Which calls to watch, and for how long.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    user: Option<String>,
    service: Option<String>,
    function: Option<String>,
    request_id: Option<String>,
    seconds: Option<u64>,
}

/// What a trace takes if nothing is said: seconds.
const TRACE_SECONDS: u64 = 60;

/// `GET /v1/trace?user=&service=&function=&request_id=&seconds=`: lines of JSON until the time is up
/// or the caller goes.
pub(super) async fn trace(State(desk): State<Desk>, Query(query): Query<Trace>) -> Response {
    let seconds = query.seconds.unwrap_or(TRACE_SECONDS);
    let longest = crate::diagnostics::trace::LONGEST.as_secs();
    if !(1..=longest).contains(&seconds) {
        return invalid(&format!("seconds is 1 to {longest}"));
    }
    let filter = Filter {
        user: query.user,
        service: query.service,
        function: query.function,
        request_id: query.request_id,
    };
    let time = std::time::Duration::from_secs(seconds);
    match desk.parts.diagnostics.watch(filter, time).await {
        Ok(lines) => {
            let lines = futures_util::StreamExt::map(lines, Ok::<_, std::convert::Infallible>);
            let body = Body::from_stream(lines);
            ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(why) => invalid(&why),
    }
}

async fn all(desk: &Desk, question: &Question) -> Response {
    let answers = desk.parts.diagnostics.ask_all(question).await;
    // What is wrong with the question is wrong everywhere.
    if let Some(why) = answers.first().and_then(|own| own.error.as_deref()) {
        return invalid(why);
    }
    answer::json(StatusCode::OK, &json!({ "gateways": answers }))
}

fn invalid(text: &str) -> Response {
    answer::error(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, text)
}
