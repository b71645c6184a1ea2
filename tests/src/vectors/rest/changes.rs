//! Versions that are translated into each other, and where a request's version stands.

use serde_json::{Map, Value, json};
use sluice_gateway::edge::version_source::VersionSources;
use sluice_protocol::Payload;
use sluice_protocol::change::{Chain, Parts, Versions};

use super::wrong;

/// Runs one vector of `version_changes`.
pub(super) fn run(input: &Value, expect: &Value) -> Result<(), Value> {
    let got = if input["kind"] == "extract" {
        json!({ "version": extract(input)? })
    } else {
        translated(input)?
    };
    if got == *expect { Ok(()) } else { Err(got) }
}

/// What becomes of a request and of its response.
fn translated(input: &Value) -> Result<Value, Value> {
    let Ok(versions) = Versions::from_json(&listed(&input["versions"])) else {
        return Ok(json!({ "outcome": "config_error" }));
    };
    let request = &input["request"];
    let function = function(&request["route"]);
    // A client that names none gets the newest.
    let newest = versions.names().last().map(ToString::to_string);
    let version = match &request["version"] {
        Value::Null => newest,
        named => named.as_str().map(str::to_owned),
    };
    let chain = version.and_then(|version| versions.chain(&version, None, &function));
    let Some(chain) = chain else {
        return Ok(json!({ "outcome": "version_not_found", "controller_called": false }));
    };
    let mut names: Vec<&str> = chain.steps().iter().map(|s| s.name.as_str()).collect();
    let mut got = json!({ "outcome": "ok", "applied_request": names });
    names.reverse();
    got["applied_response"] = json!(names);
    got["request"] = up(&chain, request)?;
    if let Some(response) = input.get("response") {
        let down = chain.response(&payload(response)).map_err(wrong)?;
        got["response"] = value(&down)?;
    }
    Ok(got)
}

/// The request in its parts, as resources get it, and as one object, as functions do.
fn up(chain: &Chain, request: &Value) -> Result<Value, Value> {
    let part = |name: &str| match &request[name] {
        Value::Null => json!({}),
        given => given.clone(),
    };
    let [path, query, body] = ["path_params", "query_params", "body_params"].map(part);
    let mut all = Map::new();
    for (name, value) in [&path, &query, &body].into_iter().flat_map(members) {
        if all.insert(name.clone(), value.clone()).is_some() {
            return Ok(json!({ "refused": format!("{name} is said twice") }));
        }
    }
    let parts = Parts {
        body: payload(&body),
        query: payload(&query),
        path: payload(&path),
    };
    let parts = chain.request_parts(&parts).map_err(wrong)?;
    let all = chain
        .request(&payload(&Value::Object(all)))
        .map_err(wrong)?;
    Ok(json!({
        "path_params": value(&parts.path)?,
        "query_params": value(&parts.query)?,
        "body_params": value(&parts.body)?,
        "params": value(&all)?,
    }))
}

fn members(part: &Value) -> impl Iterator<Item = (&String, &Value)> {
    part.as_object().into_iter().flatten()
}

/// The versions as a service lists them.
fn listed(versions: &Value) -> Value {
    let each = versions.as_array().into_iter().flatten();
    each.map(|version| {
        let Some(name) = version.get("name") else {
            return version.clone();
        };
        let changes = version["changes"].as_array().into_iter().flatten();
        let changes: Vec<Value> = changes.map(change).collect();
        json!({ "version": name, "changes": changes })
    })
    .collect()
}

fn change(change: &Value) -> Value {
    let mut change = change.clone();
    if let Some(map) = change.as_object_mut() {
        let routes = map.remove("routes").unwrap_or_default();
        let routes = routes.as_array().into_iter().flatten();
        map.insert("functions".to_owned(), routes.map(function).collect());
    }
    change
}

/// The name of a route that is a pair.
fn function(route: &Value) -> String {
    super::strings(route).join(".")
}

fn payload(value: &Value) -> Payload {
    Payload::json(value.to_string())
}

fn value(payload: &Payload) -> Result<Value, Value> {
    serde_json::from_slice(&payload.bytes).map_err(wrong)
}

/// Where a request's version stands.
fn extract(input: &Value) -> Result<Option<String>, Value> {
    let how = &input["mechanism"];
    let text = |name: &str| how[name].as_str().unwrap_or_default();
    let source = match text("kind") {
        "path_segment" => {
            let before = how["index"].as_u64().unwrap_or_default();
            let path = input["request"]["path"].as_str().unwrap_or_default();
            let segments = path.split(['/', '?']).skip(1);
            let before: String = segments
                .take(usize::try_from(before).map_err(wrong)?)
                .map(|segment| format!("/{segment}"))
                .collect();
            format!("path:{before}/{{version}}")
        }
        "header" => format!("header:{}", text("name")),
        "accept" => format!("accept:{}", text("pattern")),
        other => return Err(json!({ "unknown_mechanism": other })),
    };
    let mut request =
        http::Request::builder().uri(input["request"]["path"].as_str().unwrap_or("/"));
    for (name, value) in members(&input["request"]["headers"]) {
        request = request.header(name, value.as_str().unwrap_or_default());
    }
    let (mut head, ()) = request.body(()).map_err(wrong)?.into_parts();
    let sources = VersionSources::new(&[source]);
    sources.strip(&mut head);
    let found = sources.find(&head, None);
    let found = found.map_err(|error| json!(error.message))?;
    Ok(found.or_else(|| how["default"].as_str().map(str::to_owned)))
}
