//! `node_selection`: which instance gets a call, and which ones after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_gateway::dispatch::Clock;
use sluice_gateway::dispatch::select::{Selection, Target};
use sluice_gateway::registry::snapshot::{Function, Instance};
use sluice_gateway::sticky::StickyStore;
use sluice_gateway::sticky::memory::MemorySticky;
use sluice_protocol::{FunctionSpec, InstanceId, Payload, ServiceName, Subjects};

use super::{Outcome, Vector, permissions, same, unknown};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    if input.get("interleave").is_some() {
        return interleaved(input, &vector.expect).await;
    }
    if input.get("sticky_sequence").is_some() {
        return moved(input, &vector.expect).await;
    }
    if input.get("sticky_expired").is_some() {
        return expired(input, &vector.expect).await;
    }
    let Some(requests) = input["requests"].as_array() else {
        return unknown("a selection without requests");
    };
    let Some(function) = function(&input["mode"], &input["nodes"]) else {
        return same(
            &vector.expect,
            json!({ "error": "invalid_choose_node_mode" }),
        );
    };
    let store = MemorySticky::new(HOUR, 1000);
    let mut ordered = Vec::new();
    for request in requests {
        // Whoever is asked second takes a sticky key over, so only the first is asked for.
        ordered.push(if vector.expect["property"] == "same_primary" {
            let first = pick(&function, request, &[], &store).await;
            first.iter().map(ToString::to_string).collect()
        } else {
            order(&function, request, &store).await
        });
    }
    if ordered.iter().any(Vec::is_empty) {
        return same(&vector.expect, json!({ "error": "no_nodes_available" }));
    }
    match vector.expect["property"].as_str() {
        Some(property) => property_holds(property, &function, &ordered),
        None => same(&vector.expect, json!({ "ordered": ordered })),
    }
}

fn property_holds(property: &str, function: &Function, ordered: &[Vec<String>]) -> Outcome {
    let ids = function.variants[0].instances.iter();
    let all: BTreeSet<String> = ids.map(|i| i.id.to_string()).collect();
    let permutations = ordered
        .iter()
        .all(|order| order.len() == all.len() && order.iter().all(|id| all.contains(id)));
    let primaries: BTreeSet<&String> = ordered.iter().filter_map(|order| order.first()).collect();
    let holds = match property {
        "same_primary" => primaries.len() == 1,
        "random_primary" => permutations && primaries.len() == all.len(),
        other => return unknown(other),
    };
    if holds {
        Ok(())
    } else {
        Err(json!({ "ordered": ordered }))
    }
}

/// A function on these instances; `None` if it cannot be registered.
fn function(mode: &Value, nodes: &Value) -> Option<Function> {
    let service = ServiceName::new("s").ok()?;
    let config = json!({ "request_type": "f", "choose_node_mode": mode });
    let spec = FunctionSpec::from_json(&service, &config).ok()?;
    let subjects = Subjects::default();
    // What is no name cannot be an instance.
    let ids = nodes.as_array().into_iter().flatten();
    let ids = ids.filter_map(|id| InstanceId::new(id.as_str()?).ok());
    let mut instances: Vec<Arc<Instance>> = ids
        .map(|id| Arc::new(Instance::new(id, service.clone(), &subjects, &[], &[])))
        .collect();
    instances.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    Some(Function::of(spec, instances, &subjects))
}

/// The instances in the order in which a call would try them.
async fn order(function: &Function, request: &Value, store: &dyn StickyStore) -> Vec<String> {
    let mut tried = Vec::new();
    while let Some(id) = pick(function, request, &tried, store).await {
        tried.push(id);
    }
    tried.iter().map(ToString::to_string).collect()
}

async fn pick(
    function: &Function,
    request: &Value,
    tried: &[InstanceId],
    store: &dyn StickyStore,
) -> Option<InstanceId> {
    let args = match &request["args"] {
        Value::Null => json!({}),
        args => args.clone(),
    };
    let args = Payload::json(args.to_string());
    let identity = permissions::identity(request);
    let mut selection = Selection {
        function,
        variant: &function.variants[0],
        request_id: request["request_id"].as_str().unwrap_or("r"),
        args: &args,
        identity: &identity,
        tried,
        clock: Clock::start(),
        custom: None,
    };
    // The first choice of a random function is the broker's. The gateway makes its own once
    // somebody did not take the call, here a stranger.
    let stranger = [InstanceId::new("a stranger").ok()?];
    match selection.pick(store).await.ok()? {
        Target::Instance(instance) => Some(instance.id.clone()),
        Target::Fixed(_) => None,
        Target::Group => {
            selection.tried = &stranger;
            match selection.pick(store).await.ok()? {
                Target::Instance(instance) => Some(instance.id.clone()),
                Target::Group | Target::Fixed(_) => None,
            }
        }
    }
}

async fn interleaved(input: &Value, expected: &Value) -> Outcome {
    let lists = input["interleave"].as_array().into_iter().flatten();
    let functions: Vec<Function> = lists
        .filter_map(|list| function(&input["mode"], &list["nodes"]))
        .collect();
    let count = input["count"].as_u64().unwrap_or_default();
    let store = MemorySticky::new(HOUR, 1000);
    let mut primaries = Vec::new();
    for turn in 0..usize::try_from(count).unwrap_or_default() {
        let function = &functions[turn % functions.len()];
        let picked = pick(function, &json!({}), &[], &store).await;
        primaries.push(picked.map(|id| id.to_string()));
    }
    same(expected, json!({ "primaries": primaries }))
}

/// Calls of one user while the instances change.
async fn moved(input: &Value, expected: &Value) -> Outcome {
    let store = MemorySticky::new(HOUR, 1000);
    let mut primaries = Vec::new();
    for step in input["sticky_sequence"].as_array().into_iter().flatten() {
        let function = function(&json!({ "sticky": "user_id" }), &step["nodes"]);
        let picked = match &function {
            Some(function) => pick(function, step, &[], &store).await,
            None => None,
        };
        primaries.push(picked.map(|id| id.to_string()));
    }
    same(expected, json!({ "primaries": primaries }))
}

/// A key whose time is up is nobody's until it is used again.
async fn expired(input: &Value, expected: &Value) -> Outcome {
    let time = Duration::from_millis(50);
    let store = MemorySticky::new(time, 1000);
    let request = json!({ "user_id": "u1" });
    let Some(function) = function(&json!({ "sticky": "user_id" }), &input["nodes"]) else {
        return unknown("a sticky function that is not registered");
    };
    let bound = pick(&function, &request, &[], &store).await.is_some() && !store.is_empty();
    tokio::time::sleep(time * 2).await;
    let label = function.variants[0].spec.label();
    // The string "u1" as a key of the store.
    let key = "737531";
    let gone = matches!(store.get(&label, key).await, Ok(None));
    let again = pick(&function, &request, &[], &store).await.is_some();
    let held = matches!(store.get(&label, key).await, Ok(Some(_)));
    if expected["property"] == "reassigned" && bound && gone && again && held {
        Ok(())
    } else {
        Err(json!({ "bound": bound, "gone": gone, "again": again, "held": held }))
    }
}
