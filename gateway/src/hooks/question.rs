//! What a hook or a permission callback is told.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_protocol::http::Field;
use sluice_protocol::{ApiVersion, FunctionName, Identity, Payload, RequestId, ServiceName};

use crate::pipeline::HttpRequest;

/// The largest body that hooks are told, bytes.
const MAX_TOLD_BODY: usize = 8 * 1024;

/// When it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A permission callback: may this caller do this?
    Permission,
    /// A before hook: may the call go on, and with what args?
    Before,
    /// An after hook: what came of it.
    After,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Permission, Self::Before, Self::After];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A question about a call.
#[derive(Debug, Clone)]
pub struct Question {
    /// When it is asked.
    pub phase: Phase,
    /// The client's id of the request.
    pub request_id: RequestId,
    /// The service that is called.
    pub service: ServiceName,
    /// The function that is called.
    pub request_type: FunctionName,
    /// The version that serves the call, whatever the client wrote.
    pub version: Option<ApiVersion>,
    /// The caller.
    pub identity: Identity,
    /// The args as JSON: one object, checked. Of a resource, its path's parameters.
    pub args: Payload,
    /// The whole HTTP request, where a resource is called.
    pub http: Option<Arc<HttpRequest>>,
    /// After hooks: the envelope that the client gets, as JSON.
    pub response: Option<Bytes>,
    /// What the function's registration says for its hook.
    pub extra: Option<Value>,
}

impl Question {
    /// The question as args of a call: `{phase, request, response?, extra?}`.
    #[must_use]
    pub fn to_args(&self) -> Payload {
        let request = json!({
            "request_id": self.request_id.as_str(),
            "service": self.service.as_str(),
            "request_type": self.request_type.as_str(),
            "version": self.version.as_ref().map(ApiVersion::as_str),
            "user_id": self.identity.user_id,
            "device_id": self.identity.device_id,
            "user_roles": self.identity.roles,
        });
        let request = request.to_string();
        let mut out = Vec::with_capacity(request.len() + self.args.bytes.len() + 256);
        out.extend_from_slice(b"{\"phase\":\"");
        out.extend_from_slice(self.phase.as_str().as_bytes());
        out.extend_from_slice(b"\",\"request\":");
        // The args are spliced in before the closing brace: digit for digit, as they came.
        out.extend_from_slice(&request.as_bytes()[..request.len() - 1]);
        out.extend_from_slice(b",\"args\":");
        out.extend_from_slice(&self.args.bytes);
        if let Some(http) = &self.http {
            out.extend_from_slice(b",\"http\":");
            out.extend_from_slice(self.told(http).to_string().as_bytes());
        }
        out.push(b'}');
        if let Some(response) = &self.response {
            out.extend_from_slice(b",\"response\":");
            out.extend_from_slice(response);
        }
        if let Some(extra) = &self.extra {
            out.extend_from_slice(b",\"extra\":");
            out.extend_from_slice(extra.to_string().as_bytes());
        }
        out.push(b'}');
        Payload::json(out)
    }

    /// What is told of an HTTP request: where it goes, and a small body before it is let in.
    fn told(&self, http: &HttpRequest) -> Value {
        let head = &http.head;
        let mut told = json!({
            "method": head.method,
            "path": head.path,
            "query": head.query,
            "body_bytes": http.body.len(),
        });
        let decides = self.phase != Phase::After;
        if decides && (1..=MAX_TOLD_BODY).contains(&http.body.len()) {
            let of_type = |(name, _): &&Field| name == "content-type";
            let media_type = head.headers.iter().find(of_type).map(|(_, value)| value);
            if let Ok(text) = std::str::from_utf8(&http.body) {
                told["body"] = text.into();
                told["content_type"] = media_type.map(String::as_str).into();
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use sluice_protocol::http::RequestHead;

    use super::*;

    #[test]
    fn a_question_is_told_digit_for_digit() {
        let question = Question {
            phase: Phase::Before,
            request_id: RequestId::new("r\"1").unwrap(),
            service: ServiceName::new("s").unwrap(),
            request_type: FunctionName::new("f").unwrap(),
            version: None,
            identity: Identity {
                user_id: Some("u1".to_owned()),
                device_id: None,
                roles: vec!["admin".to_owned()],
            },
            args: Payload::json(r#"{"n": 1.000000000000000000001}"#),
            http: None,
            response: Some(Bytes::from_static(b"{\"success\":true}")),
            extra: Some(json!({"limit": 3})),
        };
        let args = question.to_args();
        let text = std::str::from_utf8(&args.bytes).unwrap();
        assert!(text.contains("1.000000000000000000001"), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["phase"], "before");
        assert_eq!(value["request"]["request_id"], "r\"1");
        assert_eq!(value["request"]["user_roles"], json!(["admin"]));
        assert_eq!(value["request"]["version"], Value::Null);
        assert_eq!(value["response"]["success"], true);
        assert_eq!(value["extra"]["limit"], 3);
        assert!(value["request"].get("http").is_none());
    }

    fn put(phase: Phase, body: impl Into<Bytes>) -> Value {
        let head = RequestHead {
            method: "PUT".to_owned(),
            path: "/books/1%2F2".to_owned(),
            query: Some("a=\"b".to_owned()),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("cookie".to_owned(), "secret".to_owned()),
            ],
        };
        let body = body.into();
        let question = Question {
            phase,
            request_id: RequestId::new("r1").unwrap(),
            service: ServiceName::new("s").unwrap(),
            request_type: FunctionName::new("book").unwrap(),
            version: None,
            identity: Identity::anonymous(),
            args: Payload::json(r#"{"id":"1/2"}"#),
            http: Some(Arc::new(HttpRequest { head, body })),
            response: None,
            extra: None,
        };
        let told: Value = serde_json::from_slice(&question.to_args().bytes).unwrap();
        assert_eq!(told["request"]["args"], json!({"id": "1/2"}));
        told["request"]["http"].clone()
    }

    /// This is what `docs/hooks.md` says.
    #[test]
    fn of_a_request_to_a_resource_is_told_where_it_goes_and_a_small_body() {
        let whole = json!({
            "method": "PUT", "path": "/books/1%2F2", "query": "a=\"b", "body_bytes": 7,
            "body": "{\"a\":1}", "content_type": "application/json",
        });
        assert_eq!(put(Phase::Before, "{\"a\":1}"), whole);
        assert_eq!(put(Phase::Permission, "{\"a\":1}"), whole);
        let place = |bytes: usize| {
            json!({
                "method": "PUT", "path": "/books/1%2F2", "query": "a=\"b", "body_bytes": bytes,
            })
        };
        assert_eq!(put(Phase::After, "{\"a\":1}"), place(7));
        assert_eq!(put(Phase::Before, ""), place(0));
        assert_eq!(put(Phase::Before, vec![0xff, b'a']), place(2), "no text");
        let largest = "x".repeat(MAX_TOLD_BODY);
        assert_eq!(put(Phase::Before, largest.clone())["body"], largest);
        let larger = "x".repeat(MAX_TOLD_BODY + 1);
        assert_eq!(put(Phase::Before, larger), place(MAX_TOLD_BODY + 1));
    }
}
