//! The service `orders`, and what decides about its calls.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_gateway::dispatch::select::Selection;
use sluice_gateway::hooks::Question;
use sluice_gateway::registry::snapshot::Instance;
use sluice_protocol::CallError;
use sluice_worker::{Context, Error, Function, Worker, WorkerBuilder};

/// What `place` takes.
#[derive(Debug, Deserialize, JsonSchema)]
struct Place {
    item: String,
    /// Filled in by the before hook.
    #[serde(default)]
    note: Option<String>,
}

/// What `place` answers.
#[derive(Debug, Serialize)]
struct Placed {
    item: String,
    note: Option<String>,
    by: String,
}

/// What `see` takes.
#[derive(Debug, Deserialize, JsonSchema)]
struct See {
    owner: String,
}

/// The functions, as instance `instance`.
pub fn functions(instance: &str) -> WorkerBuilder {
    let by = instance.to_owned();
    let place = move |_: Context, args: Place| {
        let by = by.clone();
        async move {
            let (item, note) = (args.item, args.note);
            Ok::<_, Error>(Placed { item, note, by })
        }
    };
    let see = async |args: See| json!({ "orders of": args.owner });
    Worker::builder("orders")
        .instance(instance)
        .function_with(
            Function::sync("place", place)
                .description("places an order")
                .round_robin()
                .before_execute("orders", "note"),
        )
        .function_with(
            Function::sync("see", see)
                .description("somebody's orders")
                .permission_callback("orders", "may_see"),
        )
}

/// Answers `true` for one's own orders, and for those whose tenant's administrator one is.
///
/// # Errors
/// None.
pub async fn may_see(question: Question) -> Result<Value, CallError> {
    let args: Value = serde_json::from_slice(&question.args.bytes).unwrap_or_default();
    let owner = args["owner"].as_str().unwrap_or_default();
    let tenant = owner.split_once('/').map_or(owner, |(tenant, _)| tenant);
    let user = question.identity.user_id.as_deref();
    Ok(json!(
        user == Some(owner) || user == Some(&format!("{tenant}/admin"))
    ))
}

/// Fills in a note where there is none.
///
/// # Errors
/// None.
pub async fn note(question: Question) -> Result<Value, CallError> {
    let mut args: Value = serde_json::from_slice(&question.args.bytes).unwrap_or_default();
    if args["note"].is_null() {
        args["note"] = "without a note".into();
    }
    Ok(json!({ "args": args }))
}

/// Testers get the canary; all others get an instance that is none.
#[must_use]
pub fn canary(selection: &Selection<'_>, candidates: &[&Arc<Instance>]) -> Option<usize> {
    let user = selection.identity.user_id.as_deref().unwrap_or_default();
    let tests = user.ends_with("/tester");
    let fits = |instance: &&Arc<Instance>| (instance.id.as_str() == "canary") == tests;
    candidates.iter().position(fits)
}
