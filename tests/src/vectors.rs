//! Runs test vectors against this project's own code.
//!
//! A vector says what goes in and what comes out; nothing here decides anything itself: each kind
//! of vector is brought into the form that the public code takes, and what that code says is
//! brought back into the form of the vector. Texts of messages are not compared.

mod arguments;
mod breaker;
mod callbacks;
mod exchange;
mod file;
mod fun_config;
mod hooks;
mod json_export;
mod moment;
mod nodes;
mod permissions;
mod push;
mod rate_limit;
mod report;
mod request;
mod responses;
pub mod rest;
mod retry;
mod stack;
mod streaming;
mod versions;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

pub use file::{Vector, load};
pub use report::{Counts, Deviations, Report};

/// Whether a vector holds; if not, what was got in place of what was expected.
pub type Outcome = Result<(), Value>;

type Run = fn(&Vector) -> BoxFuture<'_, Outcome>;

/// What runs the vectors of a file of this name; `None`: not known.
fn runner(file: &str) -> Option<Run> {
    Some(match file {
        "arguments" => |v| Box::pin(async { arguments::run(v) }),
        "circuit_breaker" => |v| Box::pin(breaker::run(v)),
        "hooks" => |v| Box::pin(hooks::run(v)),
        "json_export" => |v| Box::pin(async { json_export::run(v) }),
        "rate_limit" => |v| Box::pin(rate_limit::run(v)),
        "fun_config_validation" => |v| Box::pin(async { fun_config::run(v) }),
        "node_selection" => |v| Box::pin(nodes::run(v)),
        "permissions" => |v| Box::pin(permissions::run(v)),
        "push_config" => |v| Box::pin(push::run(v)),
        "request_decode" => |v| Box::pin(async { request::run(v) }),
        "responses" => |v| Box::pin(responses::run(v)),
        "streaming" => |v| Box::pin(streaming::run(v)),
        "versions" => |v| Box::pin(versions::run(v)),
        "retry_normalize" => |v| Box::pin(retry::run(v)),
        "conditional" => |v| Box::pin(rest::run("conditional", &v.input, &v.expect)),
        "conneg_charset" => |v| Box::pin(rest::run("conneg_charset", &v.input, &v.expect)),
        "conneg_encoding" => |v| Box::pin(rest::run("conneg_encoding", &v.input, &v.expect)),
        "conneg_language" => |v| Box::pin(rest::run("conneg_language", &v.input, &v.expect)),
        "conneg_media" => |v| Box::pin(rest::run("conneg_media", &v.input, &v.expect)),
        "decisions" => |v| Box::pin(rest::run("decisions", &v.input, &v.expect)),
        "options_allow" => |v| Box::pin(rest::run("options_allow", &v.input, &v.expect)),
        "version_changes" => |v| Box::pin(rest::run("version_changes", &v.input, &v.expect)),
        "pipeline" => |v| Box::pin(rest::run("pipeline", &v.input, &v.expect)),
        _ => return None,
    })
}

/// How many vectors run at once: most of them wait.
const AT_ONCE: usize = 8;

/// Runs all vectors of a file; `false` if nothing here knows it.
pub async fn run(file: &str, vectors: Vec<Vector>, report: &mut Report) -> bool {
    let Some(run) = runner(file) else {
        return false;
    };
    let mut outcomes = futures_util::stream::iter(vectors)
        .map(|vector| async move {
            let own = vector.clone();
            let outcome = tokio::spawn(async move { run(&own).await }).await;
            let outcome = outcome.unwrap_or_else(|e| Err(json!({ "panic": e.to_string() })));
            (vector, outcome)
        })
        .buffered(AT_ONCE);
    while let Some((vector, outcome)) = outcomes.next().await {
        report.add(&vector, outcome);
    }
    true
}

/// Holds if what was got is what was expected.
fn same(expected: &Value, got: Value) -> Outcome {
    if *expected == got { Ok(()) } else { Err(got) }
}

/// A vector about something that this project does not have, by design.
fn no_counterpart(why: &str) -> Outcome {
    Err(json!({ NO_COUNTERPART: why }))
}

/// The key of [`no_counterpart`]'s reason.
const NO_COUNTERPART: &str = "no_counterpart";

/// A vector of a known file that asks for what its runner does not know.
fn unknown(what: &str) -> Outcome {
    Err(json!({ "unknown_to_the_runner": what }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(input: Value) -> Vector {
        Vector {
            id: "a".to_owned(),
            title: "t".to_owned(),
            input,
            expect: json!({ "nonsense": true }),
            marks: Vec::new(),
        }
    }

    #[tokio::test]
    async fn whatever_a_vector_says_it_fails_and_nothing_else_does() {
        let mut report = Report::new(Deviations::default());
        assert!(!run("zebra", vec![vector(json!({}))], &mut report).await);
        let inputs = [
            json!({}),
            Value::Null,
            json!([1, "x"]),
            json!({"op": "fly"}),
        ];
        let files = [
            "arguments",
            "permissions",
            "versions",
            "rate_limit",
            "retry_normalize",
        ];
        for file in files {
            let vectors = inputs.iter().cloned().map(vector).collect();
            assert!(run(file, vectors, &mut report).await, "{file}");
        }
        let lines = report.lines();
        let failed = lines.iter().filter(|line| line.starts_with("FAIL a (t)"));
        assert_eq!(failed.count(), inputs.len() * files.len(), "{lines:#?}");
        assert!(
            lines.iter().all(|line| !line.contains("panic")),
            "{lines:#?}"
        );
    }
}
