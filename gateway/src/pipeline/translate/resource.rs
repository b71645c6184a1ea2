//! Requests to resources in an older version: body, query and path climb each for themselves, and
//! JSON bodies of answers come down.
//!
//! The same place has another representation in each version, so its entity tags differ as well
//! (RFC 9110 §8.8.3): what goes down is marked with the version, and only what bears the mark is
//! taken for a tag of the resource on the way up.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use sluice_protocol::Payload;
use sluice_protocol::change::{Chain, Parts, TranslateError};
use sluice_protocol::http::{CHUNK_HEAD, Field, ResponseHead};
use sluice_protocol::request::no_args;

use crate::pipeline::HttpRequest;

/// What asks for a part or a coding of today's representation, of which none can be translated.
const OF_BYTES: [&str; 3] = ["range", "if-range", "accept-encoding"];
/// What lines of JSON are called; no name of them is registered.
const LINES: [&str; 4] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
];
/// What is said of the bytes of a body, and is wrong once they have changed.
const ABOUT_BYTES: [&str; 6] = [
    "content-length",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "accept-ranges",
];

/// Path parameters and request, as today's resource takes them.
pub(super) fn up(
    chain: &Chain,
    params: &Payload,
    request: &HttpRequest,
) -> Result<(Payload, Arc<HttpRequest>), TranslateError> {
    let mut request = request.clone();
    let has_body = !request.body.is_empty() && is_json(&request.head.headers);
    let query = request
        .head
        .query
        .as_deref()
        .filter(|_| chain.changes_query());
    let parts = Parts {
        body: match has_body {
            true => Payload::json(request.body.clone()),
            false => no_args(),
        },
        query: query.map_or_else(no_args, object_of),
        path: params.clone(),
    };
    let translated = chain.request_parts(&parts)?;
    if has_body {
        request.body = translated.body.bytes;
    }
    if chain.changes_query() {
        request.head.query = query_of(&translated.query);
    }
    if chain.changes_responses() {
        let mark = mark(chain);
        let headers = &mut request.head.headers;
        headers.retain(|(name, _)| !OF_BYTES.contains(&name.as_str()));
        for (name, value) in headers {
            if matches!(name.as_str(), "if-match" | "if-none-match") {
                *value = each_tag(value, |tag| unmarked(tag, &mark));
            }
        }
    }
    Ok((translated.path, Arc::new(request)))
}

/// An answer as the client's version has it.
pub(super) fn down(chain: &Chain, message: Payload) -> Result<Payload, TranslateError> {
    let malformed = |reason: String| TranslateError::Malformed(reason);
    let Some((head, body)) = message.split_http() else {
        return Ok(message);
    };
    let head = ResponseHead::parse(head).map_err(|e| malformed(e.to_string()))?;
    let body = if !body.is_empty() && is_json(&head.headers) {
        body_down(chain, body, !(200..300).contains(&head.status))?
    } else {
        body
    };
    let head = relabelled(chain, head);
    let head = head.to_value().map_err(|e| malformed(e.to_string()))?;
    Ok(Payload::http(&head, &body))
}

/// The head of the first piece of an answer, as the client's version has it; `None`: it has none.
pub(super) fn head_down(chain: &Chain, first: &Payload) -> Option<String> {
    let head = ResponseHead::parse(first.split_http()?.0).ok()?;
    relabelled(chain, head).to_value().ok()
}

/// A piece that is not the first.
pub(super) fn chunk(body: &[u8]) -> Payload {
    Payload::http(CHUNK_HEAD, body)
}

/// A whole body of JSON; of errors, what they say of fields.
pub(super) fn body_down(chain: &Chain, body: Bytes, fault: bool) -> Result<Bytes, TranslateError> {
    if fault {
        return Ok(chain.problem_before(&body).map_or(body, Bytes::from));
    }
    match chain.changes_responses() {
        true => Ok(chain.response(&Payload::json(body))?.bytes),
        false => Ok(body),
    }
}

/// A head without what is wrong once the body has changed, its tag marked with the version.
fn relabelled(chain: &Chain, mut head: ResponseHead) -> ResponseHead {
    let fault = !(200..300).contains(&head.status);
    if !chain.changes_responses() && !fault {
        return head;
    }
    if chain.changes_responses() {
        let mark = mark(chain);
        for (name, value) in &mut head.headers {
            if name == "etag" {
                *value = marked(value, &mark);
            }
        }
    }
    // Also of a HEAD's answer, which has the fields of the body that it leaves out.
    let fields = &mut head.headers;
    fields.retain(|(name, _)| !ABOUT_BYTES.contains(&name.as_str()));
    head
}

/// JSON that nothing has packed.
pub(super) fn is_json(fields: &[Field]) -> bool {
    essence(fields).is_some_and(|e| e == "application/json" || e.ends_with("+json"))
}

/// Lines of JSON that nothing has packed.
pub(super) fn is_lines(fields: &[Field]) -> bool {
    essence(fields).is_some_and(|essence| LINES.contains(&essence.as_str()))
}

/// The media type of a body that has no coding, without its parameters.
fn essence(fields: &[Field]) -> Option<String> {
    let of = |name: &str| fields.iter().find(|(own, _)| own == name);
    if of("content-encoding").is_some_and(|(_, coding)| coding != "identity") {
        return None;
    }
    let essence = of("content-type").and_then(|(_, value)| value.split(';').next());
    essence.map(|essence| essence.trim().to_ascii_lowercase())
}

/// A query as an object: each name with its value, or the list of them.
fn object_of(query: &str) -> Payload {
    let mut object = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Value::from(decoded(value));
        match object.entry(decoded(name)) {
            serde_json::map::Entry::Vacant(place) => {
                place.insert(value);
            }
            serde_json::map::Entry::Occupied(mut place) => match place.get_mut() {
                Value::Array(all) => all.push(value),
                one => *one = vec![one.take(), value].into(),
            },
        }
    }
    Payload::json(Value::Object(object).to_string())
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// The query that says what the object has; `None` if that is nothing.
fn query_of(object: &Payload) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_slice(&object.bytes).ok()?;
    let mut pairs: Vec<String> = Vec::with_capacity(object.len());
    for (name, value) in object {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        pairs.extend(all.iter().map(|value| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}={}", encode(&name), encode(&text))
        }));
    }
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// What marks the tags of this version, at their end.
fn mark(chain: &Chain) -> String {
    let version = utf8_percent_encode(chain.from().as_str(), NON_ALPHANUMERIC);
    format!(";v={version}\"")
}

fn marked(tag: &str, mark: &str) -> String {
    match tag.trim_end().strip_suffix('"') {
        Some(open) => format!("{open}{mark}"),
        None => tag.to_owned(),
    }
}

/// The resource's own tag. One of another version is none that the resource could have.
fn unmarked(tag: &str, mark: &str) -> String {
    match (tag.strip_suffix(mark), tag.strip_suffix('"')) {
        (Some(own), _) => format!("{own}\""),
        (None, Some(open)) => format!("{open};v=\""),
        (None, None) => tag.to_owned(),
    }
}

/// A list of entity tags, each of them changed. Tags may have commas in them.
pub(crate) fn each_tag(list: &str, mut change: impl FnMut(&str) -> String) -> String {
    if list.trim() == "*" {
        return list.to_owned();
    }
    let mut tags: Vec<String> = Vec::new();
    let mut rest = list;
    while let Some(start) = rest.find('"') {
        let (before, open) = rest.split_at(start);
        let Some(end) = open[1..].find('"') else {
            break;
        };
        let (tag, after) = open.split_at(end + 2);
        let weak = if before.trim_end().ends_with("W/") {
            "W/"
        } else {
            ""
        };
        tags.push(change(&format!("{weak}{tag}")));
        rest = after;
    }
    if tags.is_empty() {
        return list.to_owned();
    }
    tags.join(", ")
}

#[cfg(test)]
mod tests {
    use sluice_protocol::change::Versions;
    use sluice_protocol::http::RequestHead;

    use super::*;

    fn chain() -> Chain {
        let versions = Versions::from_json(&serde_json::json!([
            {"version": "1", "changes": [{"name": "names", "functions": ["book"],
                "request": {
                    "body": [{"op": "rename", "from": "name", "to": "title"}],
                    "query": [{"op": "rename", "from": "q", "to": "search"}],
                    "path": [{"op": "rename", "from": "book", "to": "id"}],
                },
                "response": {"reverse": [""]}}]},
            {"version": "2"},
        ]));
        versions.unwrap().chain("1", None, "book").unwrap()
    }

    fn request(query: &str, headers: &[(&str, &str)], body: &'static str) -> HttpRequest {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        HttpRequest {
            head: RequestHead {
                method: "PUT".to_owned(),
                path: "/books/7".to_owned(),
                query: Some(query.to_owned()).filter(|q| !q.is_empty()),
                headers: headers.iter().map(field).collect(),
            },
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn body_query_and_path_climb_each_for_themselves() {
        let given = request("q=a%20b&x=1&x=2&q2", &[JSON], r#"{"name":"Emma","q":1.50}"#);
        let (path, up) = up(&chain(), &Payload::json(r#"{"book":7}"#), &given).unwrap();
        assert_eq!(path.bytes, r#"{"id":7}"#);
        assert_eq!(up.body, r#"{"title":"Emma","q":1.50}"#);
        let query = up.head.query.as_deref().unwrap();
        let mut pairs: Vec<&str> = query.split('&').collect();
        pairs.sort_unstable();
        assert_eq!(pairs, ["q2=", "search=a%20b", "x=1", "x=2"]);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for headers in [
            &[("content-type", "text/plain")][..],
            &[JSON, ("content-encoding", "gzip")],
            &[],
        ] {
            let given = request("", headers, r#"{"name":"Emma"}"#);
            let (_, up) = up(&chain(), &no_args(), &given).unwrap();
            assert_eq!(up.body, given.body, "{headers:?}");
        }
        let broken = request("", &[JSON], r#"{"name":"#);
        assert!(up(&chain(), &no_args(), &broken).is_err());
    }

    #[test]
    fn tags_belong_to_a_version() {
        let raised = |value: &str| {
            let fields = [("if-none-match", value), ("range", "bytes=0-1")];
            let (_, up) = up(&chain(), &no_args(), &request("", &fields, "")).unwrap();
            assert_eq!(up.head.headers.len(), 1, "no part can be translated");
            up.head.headers[0].1.clone()
        };
        assert_eq!(raised("\"a,b;v=1\""), "\"a,b\"");
        assert_eq!(raised("W/\"a;v=1\" , \"b\""), "W/\"a\", \"b;v=\"");
        assert_eq!(raised("*"), "*");
        assert_eq!(raised("nonsense"), "nonsense");
        let head = |tag: &str| {
            let head = ResponseHead {
                status: 200,
                headers: vec![
                    ("etag".into(), tag.into()),
                    ("content-type".into(), "application/json".into()),
                    ("content-length".into(), "16".into()),
                ],
            };
            let message = Payload::http(&head.to_value().unwrap(), br#"{"title":"Emma"}"#);
            let down = down(&chain(), message).unwrap();
            let (head, body) = down.split_http().unwrap();
            assert_eq!(body, r#"{"name":"Emma"}"#);
            let head = ResponseHead::parse(head).unwrap();
            assert_eq!(head.headers.len(), 2, "the length is another one");
            head.headers[0].1.clone()
        };
        for tag in ["\"a,b\"", "W/\"7\"", "\"\""] {
            assert_eq!(raised(&head(tag)), tag, "there and back");
        }
    }

    #[test]
    fn errors_name_the_fields_of_the_version() {
        let said = |body: &str| {
            let head = ResponseHead {
                status: 422,
                headers: vec![("content-type".into(), "application/problem+json".into())],
            };
            let message = Payload::http(&head.to_value().unwrap(), body.as_bytes());
            let down = down(&chain(), message).unwrap();
            let body = down.split_http().unwrap().1;
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let fault = |path: &str, name: &str| serde_json::json!({"path": path, "message": format!("{name:?} is too long")});
        let of = |path: &str, name: &str| {
            serde_json::json!({
                "error": format!("not valid: {path}: {name:?} is too long; and more"),
                "details": {"faults": [fault(path, name), fault("/year", "year")], "n": 1},
            })
        };
        assert_eq!(
            said(&of("/title", "title").to_string()),
            of("/name", "name")
        );
        let problem = |name: &str| {
            serde_json::json!({"title": "Invalid", "detail": format!("#/{name}: empty"),
                "errors": [{"pointer": format!("#/{name}"), "detail": "empty"}]})
        };
        assert_eq!(said(&problem("title").to_string()), problem("name"));
        let top = |name: &str| serde_json::json!({"faults": [fault(&format!("/{name}/0"), "0")]});
        assert_eq!(said(&top("title").to_string()), top("name"));
    }

    #[test]
    fn answers_that_are_no_success_keep_their_body() {
        let head = ResponseHead {
            status: 409,
            headers: vec![("content-type".into(), "application/problem+json".into())],
        };
        let message = Payload::http(&head.to_value().unwrap(), br#"{"title":"Conflict"}"#);
        let down = down(&chain(), message).unwrap();
        assert_eq!(down.split_http().unwrap().1, r#"{"title":"Conflict"}"#);
    }
}
