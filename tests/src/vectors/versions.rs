//! `versions`: which version of a function a request means.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_gateway::registry::snapshot::{Function, FunctionVersions, Snapshot};
use sluice_protocol::version::latest;

use super::stack::{Announce, Stack};
use super::{Outcome, Vector, same, unknown};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    let stack = registered(&vector.input["registered"]).await;
    let stack = stack.map_err(|e| json!(e.to_string()))?;
    let got = query(&stack.gateway.registry().snapshot(), &vector.input["query"]);
    stack.stop().await;
    match got {
        Some(got) => same(&vector.expect, got),
        None => unknown("this query"),
    }
}

/// A gateway that knows the function `s.x` in these versions.
async fn registered(versions: &Value) -> Result<Stack> {
    let stack = Stack::start(|_| {}).await?;
    let functions: Vec<Value> = versions
        .as_array()
        .into_iter()
        .flatten()
        .map(|of| {
            json!({
                "request_type": "x", "version": of["version"],
                "disabled": of.get("disabled").cloned().unwrap_or(false.into()),
            })
        })
        .collect();
    if !functions.is_empty() {
        let announce = Announce {
            service: &"s".into(),
            instance: "i1",
            config_version: &Value::Null,
            functions: &functions.into(),
            force: false,
            secret: None,
        };
        stack.announce(&announce).await?;
        let known = |snapshot: &Snapshot| versions_of(snapshot).is_some();
        stack.gateway.registry().wait_for(known).await;
    }
    Ok(stack)
}

fn versions_of(snapshot: &Snapshot) -> Option<&FunctionVersions> {
    let (_, functions) = snapshot
        .services
        .iter()
        .find(|(name, _)| name.as_str() == "s")?;
    functions.values().next()
}

fn query(snapshot: &Snapshot, query: &Value) -> Option<Value> {
    let version = query["version"].as_str();
    let found = match query["op"].as_str()? {
        "get" => versions_of(snapshot).and_then(|all| all.exact(version)),
        "resolve" => snapshot.resolve("s", "x", version).ok(),
        "latest" => versions_of(snapshot).and_then(|all| {
            let enabled = || all.versions.iter().filter(|f| !f.disabled);
            let newest = latest(enabled().filter_map(|f| f.version.as_ref()))?;
            all.exact(Some(newest.as_str()))
        }),
        _ => return None,
    };
    Some(answer(found))
}

fn answer(found: Option<&Arc<Function>>) -> Value {
    match found {
        None => json!({ "ok": false, "error": "not_found" }),
        Some(function) if function.disabled => json!({ "ok": false, "error": "disabled" }),
        Some(function) => json!({ "ok": true, "version": function.version }),
    }
}
