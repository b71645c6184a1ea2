//! Every error code, as clients of every edge see it: one table that the tests of all edges walk.
//!
//! What stands here was written by hand, not taken from the enum, so that neither changes unseen.

use serde_json::{Value, json};
use sluice_protocol::{CallError, ErrorCode, Executed};

/// How a client may come to see a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arises {
    /// The pipeline, dispatch or a worker says so: the edges pass it on.
    InCalls,
    /// Only an edge says so, of what it reads itself.
    AtTheEdge,
    /// Nothing says so yet.
    NotYet(&'static str),
}

/// One code.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) status: u16,
    pub(super) source: &'static str,
    /// Whether the request may be sent again if it did not run.
    pub(super) can_retry: bool,
    /// A detail that goes with it, and its value.
    pub(super) detail: Option<(&'static str, &'static str)>,
    pub(super) arises: Arises,
}

const fn row(code: &'static str, status: u16, source: &'static str, can_retry: bool) -> Row {
    Row {
        code,
        status,
        source,
        can_retry,
        detail: None,
        arises: Arises::InCalls,
    }
}

impl Row {
    const fn with(self, name: &'static str, json: &'static str) -> Self {
        Self {
            detail: Some((name, json)),
            ..self
        }
    }

    const fn arises(self, arises: Arises) -> Self {
        Self { arises, ..self }
    }

    /// The error as a call ends with it.
    pub(super) fn error(&self, executed: Executed, idempotent: bool) -> CallError {
        let code = ErrorCode::parse(self.code).unwrap();
        let error = CallError::new(code, format!("this is {}", self.code));
        let error = match self.detail {
            Some((name, json)) => {
                let value: Value = serde_json::from_str(json).unwrap();
                error.with_detail(name, value)
            }
            None => error,
        };
        error.with_executed(executed, idempotent)
    }

    /// The envelope that a client gets.
    pub(super) fn envelope(&self, id: &str, executed: Executed, idempotent: bool) -> Value {
        let mut details = json!({ "executed": executed.as_str() });
        if let Some((name, json)) = self.detail {
            details[name] = serde_json::from_str(json).unwrap();
        }
        let again = executed == Executed::No || idempotent;
        json!({
            "request_id": id, "success": false, "result": null,
            "error": format!("this is {}", self.code),
            "async": false, "has_more": false, "can_retry": self.can_retry && again,
            "error_code": self.code, "error_source": self.source, "details": details,
        })
    }
}

/// Whether a call ran, and whether it may run twice.
pub(super) const RAN: [(Executed, bool); 4] = [
    (Executed::No, false),
    (Executed::Unknown, false),
    (Executed::Unknown, true),
    (Executed::Yes, false),
];

/// All of them, in the order of the page.
pub(super) const TABLE: [Row; 27] = [
    row("invalid_request", 400, "client", false),
    row("unauthenticated", 401, "client", false).arises(Arises::AtTheEdge),
    row("permission_denied", 403, "client", false),
    row("hook_rejected", 403, "client", false).with("reason", r#""quota""#),
    row("unknown_function", 404, "client", false).with("did_you_mean", r#""s.f""#),
    row("unknown_version", 404, "client", false).with("versions", r#"["1.0.0"]"#),
    row("method_not_allowed", 405, "client", false),
    row("not_acceptable", 406, "client", false).arises(Arises::AtTheEdge),
    row("duplicate_request", 409, "client", false).arises(Arises::AtTheEdge),
    row("function_disabled", 410, "gateway", false),
    row("payload_too_large", 413, "client", false),
    row("unsupported_media_type", 415, "client", false).arises(Arises::AtTheEdge),
    row("invalid_arguments", 422, "client", false).with(
        "faults",
        r#"[{"path": "/a", "category": "type", "message": "expected a number, got a string"}]"#,
    ),
    row("idempotency_conflict", 422, "client", false),
    row("rate_limited", 429, "client", true).with("retry_after_ms", "1500"),
    row("cancelled", 499, "client", false),
    row("internal", 500, "gateway", false),
    row("worker_error", 500, "worker", false).with("id", "7"),
    row("worker_lost", 502, "worker", true),
    row("stream_lost", 502, "worker", true),
    row("payload_incomplete", 502, "worker", true).arises(Arises::NotYet(
        "payloads travel whole: the gateway neither sends nor takes chunks yet",
    )),
    row("overloaded", 503, "gateway", true),
    row("no_workers", 503, "gateway", true),
    row("circuit_open", 503, "gateway", true).with("retry_after_ms", "500"),
    row("broker_unavailable", 503, "gateway", true),
    row("limiter_unavailable", 503, "gateway", true),
    row("timeout", 504, "worker", true),
];

#[test]
fn the_table_has_every_code_and_agrees_with_it() {
    let codes: Vec<&str> = TABLE.iter().map(|row| row.code).collect();
    let all: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes, all);
    for row in &TABLE {
        let error = row.error(Executed::No, false);
        assert_eq!(error.http_status(), row.status, "{}", row.code);
        assert_eq!(error.source.as_str(), row.source, "{}", row.code);
        assert_eq!(error.can_retry, row.can_retry, "{}", row.code);
    }
}

/// Every code that is said to arise is made somewhere in the code, and no other.
#[test]
fn what_arises_is_made_somewhere() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let protocol = sources.join("../../protocol/src");
    let mut text = String::new();
    collect(&sources, &mut text);
    collect(&protocol, &mut text);
    for (row, code) in TABLE.iter().zip(ErrorCode::ALL) {
        let made = text.contains(&format!("ErrorCode::{code:?}, "))
            || text.contains(&format!("ErrorCode::{code:?},\n"));
        match row.arises {
            Arises::InCalls | Arises::AtTheEdge => assert!(made, "nothing makes {}", row.code),
            Arises::NotYet(reason) => {
                assert!(!reason.is_empty());
                assert!(!made, "{} arises now: say so in the table", row.code);
            }
        }
    }
}

/// The program's own text: tests and what they are made of left out.
fn collect(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let of_tests = ["tests", "testing", "fake", "error_table"].contains(&name.as_str());
        if of_tests {
            continue;
        }
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]\nmod tests {").next().unwrap());
        }
    }
}
