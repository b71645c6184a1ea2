//! The args of a call at a declared route: parameters of the path, the query, the body.
//!
//! Each name stands in one of them. What the body repeats is taken if it says the same.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sluice_protocol::argument::{ArgTypes, Fault, category, top_level};
use sluice_protocol::payload::TranscodeError;
use sluice_protocol::request::no_args;
use sluice_protocol::{CallError, Encoding, ErrorCode, Payload};

use crate::edge::http::call::bad_query;
use crate::edge::http::query::args_from_query;

/// The args that path and query say, read as `types` declares them.
pub(super) fn of_url(
    query: Option<&str>,
    params: &[(String, String)],
    types: Option<&ArgTypes>,
) -> Result<Payload, CallError> {
    let mut pairs: Vec<String> = Vec::with_capacity(params.len() + 1);
    for (name, value) in params {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        pairs.push(format!("{}={}", encode(name), encode(value)));
    }
    pairs.extend(query.filter(|q| !q.is_empty()).map(str::to_owned));
    if pairs.is_empty() {
        return Ok(no_args());
    }
    args_from_query(&pairs.join("&"), types).map_err(|faults| bad_query(&faults))
}

/// The args of the URL together with those of the body.
pub(super) fn with_body(of_url: Payload, body: Payload) -> Result<Payload, CallError> {
    let own = names(&of_url.bytes);
    if own.is_empty() {
        return Ok(body);
    }
    let body = body.transcode(Encoding::Json).map_err(|e| no_json(&e))?;
    let mut members = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in &own {
        let (here, there) = (top_level(&of_url, name), top_level(&body, name));
        match there {
            None => members.push(format!(
                "{}:{value}",
                serde_json::Value::from(name.as_str())
            )),
            Some(there) if Some(&there) == here.as_ref() => {}
            Some(_) => faults.push(said_twice(name)),
        }
    }
    if !faults.is_empty() {
        return Err(disagree(&faults));
    }
    Ok(Payload::json(spliced(&members.join(","), &body.bytes)))
}

/// Names and values of an object that this gateway printed.
fn names(object: &[u8]) -> Vec<(String, Box<serde_json::value::RawValue>)> {
    let map: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_slice(object).unwrap_or_default();
    map.into_iter().collect()
}

/// `members` before those of the object `body`. What is no object stays as it is: that is told
/// when args are checked.
fn spliced(members: &str, body: &[u8]) -> Vec<u8> {
    let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let start = body.iter().position(|b| !space(b)).unwrap_or(body.len());
    let Some((b'{', inner)) = body[start..].split_first() else {
        return body.to_vec();
    };
    let mut out = Vec::with_capacity(members.len() + body.len() + 1);
    out.push(b'{');
    out.extend_from_slice(members.as_bytes());
    let empty = inner.iter().find(|b| !space(b)) == Some(&b'}');
    if !empty && !members.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(inner);
    out
}

fn said_twice(name: &str) -> Fault {
    Fault {
        path: format!("/{name}"),
        category: category::DUPLICATE,
        message: format!("argument {name:?} has another value in the body than in the URL"),
    }
}

fn disagree(faults: &[Fault]) -> CallError {
    let messages: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    let text = format!("the body and the URL disagree: {}", messages.join("; "));
    let faults = serde_json::to_value(faults).unwrap_or_default();
    CallError::new(ErrorCode::InvalidArguments, text).with_detail("faults", faults)
}

fn no_json(reason: &TranscodeError) -> CallError {
    let text = format!("the body cannot be joined with the path's parameters: {reason}");
    CallError::new(ErrorCode::InvalidArguments, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(url: &'static str, body: &'static str) -> Result<String, ErrorCode> {
        with_body(Payload::json(url), Payload::json(body))
            .map(|p| String::from_utf8(p.bytes.to_vec()).unwrap())
            .map_err(|e| e.code)
    }

    #[test]
    fn parameters_come_before_what_the_body_says() {
        assert_eq!(
            joined(r#"{"id":7}"#, r#"{"a": 1.50}"#).unwrap(),
            r#"{"id":7,"a": 1.50}"#
        );
        assert_eq!(joined(r#"{"id":7}"#, " { } ").unwrap(), r#"{"id":7 } "#);
        assert_eq!(joined("{}", "[1]").unwrap(), "[1]");
        assert_eq!(
            joined(r#"{"id":7}"#, "[1]").unwrap(),
            "[1]",
            "refused when checked"
        );
    }

    #[test]
    fn what_is_said_twice_must_be_the_same() {
        assert_eq!(
            joined(r#"{"id":7}"#, r#"{"id":7,"a":1}"#).unwrap(),
            r#"{"id":7,"a":1}"#
        );
        assert_eq!(
            joined(r#"{"id":7}"#, r#"{"id":8}"#),
            Err(ErrorCode::InvalidArguments)
        );
        let other = with_body(Payload::json(r#"{"id":7}"#), Payload::json(r#"{"id":8}"#));
        assert_eq!(
            other.unwrap_err().message,
            "the body and the URL disagree: argument \"id\" has another value in the body than in the URL"
        );
        assert_eq!(
            joined(r#"{"id":"x"}"#, r#"{"id":"\u0078"}"#).unwrap(),
            r#"{"id":"\u0078"}"#
        );
    }

    #[test]
    fn the_url_says_args_in_the_types_that_are_declared() {
        let query = Some("a=x%20y");
        let params = [("id".to_owned(), "7".to_owned())];
        let types = ArgTypes::from_json(&serde_json::json!({"id": "num", "a": "string"})).unwrap();
        let args = of_url(query, &params, Some(&types)).unwrap();
        assert_eq!(args.bytes, r#"{"id":7,"a":"x y"}"#);
        assert!(
            of_url(Some("id=8"), &params, Some(&types)).is_err(),
            "the path says it already"
        );
    }
}
