//! Requests and responses of vectors, and how a response is compared.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sluice_worker::resource::http::header::{HeaderName, HeaderValue};
use sluice_worker::resource::http::{HeaderMap, Method, StatusCode};
use sluice_worker::resource::{Answer, Reply, ResourceRequest, ResourceResponse, Step, Trace};

use super::{strings, wrong};

pub(super) fn request(of: &Value) -> Result<ResourceRequest, Value> {
    let method = of["method"].as_str().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(wrong)?;
    let mut request = ResourceRequest::new(method, "/");
    request.headers = headers(&of["headers"])?;
    Ok(request)
}

fn headers(of: &Value) -> Result<HeaderMap, Value> {
    let mut headers = HeaderMap::new();
    for (name, values) in of.as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().map_err(wrong)?;
        for value in strings(values) {
            headers.append(&name, HeaderValue::from_str(&value).map_err(wrong)?);
        }
    }
    Ok(headers)
}

/// A whole response: `{status, headers, body}`.
pub(super) fn response(of: &Value) -> Result<ResourceResponse, Value> {
    let status = of["status"].as_u64().unwrap_or(200);
    let status = u16::try_from(status).map_err(wrong)?;
    let mut response = ResourceResponse::new(StatusCode::from_u16(status).map_err(wrong)?);
    response.headers = headers(&of["headers"])?;
    Ok(response.body(of["body"].as_str().unwrap_or_default().to_owned()))
}

/// What a handler answers: `{status?, headers?, body?}`.
pub(super) fn reply(of: &Value) -> Result<Reply, Value> {
    let mut reply = match of["body"].as_str() {
        Some(body) => Reply::text(body),
        None => Reply::new(),
    };
    if let Some(status) = of["status"].as_u64() {
        let status = u16::try_from(status).map_err(wrong)?;
        reply = reply.status(StatusCode::from_u16(status).map_err(wrong)?);
    }
    for (name, value) in &headers(&of["headers"])? {
        reply = reply.header(name.clone(), value.clone());
    }
    Ok(reply)
}

/// Compares a response with what a vector expects of it; `Err` says what differs.
pub(super) fn compare(
    expect: &Value,
    response: &ResourceResponse,
    trace: &Trace,
) -> Result<(), Value> {
    let mut differs = Map::new();
    let mut check = |what: &str, expected: &Value, got: Value| {
        if *expected != got {
            differs.insert(what.to_owned(), got);
        }
    };
    let values = |name: &str| -> Vec<&str> {
        let values = response.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap_or("?")).collect()
    };
    for (what, expected) in expect.as_object().into_iter().flatten() {
        match what.as_str() {
            "status" => check(what, expected, json!(response.status.as_u16())),
            "handler" => check(what, expected, json!(trace.handler().map(|h| h.name()))),
            "body" => check(
                what,
                expected,
                json!(String::from_utf8_lossy(&response.body)),
            ),
            "headers" => {
                for (name, expected) in expected.as_object().into_iter().flatten() {
                    check(name, &json!(strings(expected)), json!(values(name)));
                }
            }
            "list_headers" => {
                for (name, expected) in expected.as_object().into_iter().flatten() {
                    check(name, expected, json!(items(&values(name))));
                }
            }
            "headers_absent" => {
                for name in strings(expected) {
                    check(&name, &json!([]), json!(values(&name)));
                }
            }
            "allow" | "vary" => {
                let set = |all: Vec<String>| all.into_iter().collect::<BTreeSet<_>>();
                let expected = json!(set(strings(expected)));
                check(what, &expected, json!(set(items(&values(what)))));
            }
            "trace_order" if !in_order(expected, trace) => {
                check(what, expected, trace.to_json());
            }
            // The calls of functions are compared where they are counted.
            "trace_order" | "calls" => {}
            unknown => check(unknown, expected, json!("nothing compares this")),
        }
    }
    if differs.is_empty() {
        return Ok(());
    }
    differs.insert("trace".to_owned(), json!(trace.to_header()));
    Err(Value::Object(differs))
}

fn items(values: &[&str]) -> Vec<String> {
    let items = values.iter().flat_map(|value| value.split(','));
    items.map(|item| item.trim().to_owned()).collect()
}

/// Whether the expected steps occur in this order; others may lie between.
fn in_order(expected: &Value, trace: &Trace) -> bool {
    let steps = trace.steps().iter().map(|step| match step {
        Step::Decision(decision, answer) => json!([decision.name(), *answer == Answer::Yes]),
        Step::Pipeline(name, answer) => json!([name, *answer == Answer::Yes]),
        Step::Action(action) => json!(action.name()),
        Step::Handler(handler, _) => json!(handler.name()),
    });
    let mut expected = expected.as_array().into_iter().flatten().peekable();
    for step in steps {
        expected.next_if(|expected| **expected == step);
    }
    expected.next().is_none()
}
