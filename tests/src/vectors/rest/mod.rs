//! Vectors of HTTP resources: negotiation, the decision graph, preconditions, pipelines; and of
//! versions that are translated.
//!
//! They run through the public interfaces of [`sluice_worker::resource`] and
//! [`sluice_protocol::change`] alone.

mod changes;
mod graph;
mod negotiation;
mod pipeline;
mod response;

use serde_json::{Value, json};

/// Runs one vector of a file, named without `.json`: `Err` has what came instead.
///
/// # Errors
///
/// What differs; or that nothing here knows the file.
pub async fn run(file: &str, input: &Value, expect: &Value) -> Result<(), Value> {
    match file {
        "conneg_media" | "conneg_charset" | "conneg_encoding" | "conneg_language" => {
            negotiation::run(file, input, expect)
        }
        "conditional" | "decisions" | "options_allow" => graph::run(input, expect).await,
        "pipeline" => pipeline::run(input, expect).await,
        "version_changes" => changes::run(input, expect),
        _ => Err(json!(format!("no file of vectors of resources: {file}"))),
    }
}

/// Whether [`run`] knows a file.
#[must_use]
pub fn knows(file: &str) -> bool {
    let all = "conneg_media conneg_charset conneg_encoding conneg_language conditional decisions \
               options_allow pipeline version_changes";
    all.split(' ').any(|known| known == file)
}

/// The strings of an array; of one string, that string.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// An error of the vector itself.
fn wrong(error: impl std::fmt::Display) -> Value {
    json!(error.to_string())
}
