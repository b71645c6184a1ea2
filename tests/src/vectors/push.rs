//! `push_config`: how services register, and what is kept of it.
//!
//! A push is an announce of one instance; the name of its node names the instance. The gateway
//! answers that it took a config or refuses it with every reason; why it is refused is a text.
//! A config that is known already is not looked at again, so nothing new is published of it.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_gateway::admin::action::{Action, Area, Grants};
use sluice_gateway::registry::refused::RefusedFilter;
use sluice_protocol::registry::Message;
use sluice_protocol::{ApiVersion, FunctionName, ServiceName};

use super::stack::{Announce, Stack};
use super::{Outcome, Vector, fun_config, no_counterpart, unknown};
use crate::{Error, Result};

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let got = match input["op"].as_str() {
        None => steps(input["steps"].as_array().map_or(&[][..], Vec::as_slice)).await,
        Some("token") => token(input).await,
        Some("mfa") => target(input).await,
        Some("admin") => operator(input),
        Some("pull_interval" | "pull_round") => {
            return no_counterpart(
                "DESIGN pulls each unknown config once, by its hash; there are no pull rounds or intervals",
            );
        }
        Some(other) => return unknown(other),
    };
    let got = got.map_err(|e| json!(e.to_string()))?;
    if alike(&vector.expect, &got) {
        Ok(())
    } else {
        Err(got)
    }
}

/// Whether results say the same; a refusal is one, whatever its reasons are called.
fn alike(expected: &Value, got: &Value) -> bool {
    let (Some(expected), Some(got)) = (expected["results"].as_array(), got["results"].as_array())
    else {
        return expected == got;
    };
    let same = |(expected, got): (&Value, &Value)| {
        let refused = got["error"] == "refused" && expected["error"].is_string();
        expected == got || (refused && expected["error"] != "not_found")
    };
    expected.len() == got.len() && expected.iter().zip(got).all(same)
}

async fn steps(steps: &[Value]) -> Result<Value> {
    let secret = steps.iter().find(|step| step["op"] == "set_token");
    let stack = start(secret.map(|step| &step["token"])).await?;
    let mut results = Vec::new();
    for step in steps {
        results.push(one(&stack, step).await?);
    }
    stack.stop().await;
    Ok(json!({ "results": results }))
}

/// A gateway where service `svc` needs this secret, if it is one.
async fn start(secret: Option<&Value>) -> Result<Stack> {
    let secret = secret.and_then(Value::as_str).map(str::to_owned);
    Stack::start(move |config| {
        if let Some(secret) = secret {
            config.registry.open = false;
            config.registry.secrets.insert("svc".to_owned(), secret);
        }
    })
    .await
}

async fn one(stack: &Stack, step: &Value) -> Result<Value> {
    let service = step["service"].as_str().unwrap_or_default();
    Ok(match step["op"].as_str().unwrap_or_default() {
        // The gateway was started with it.
        "set_token" | "set_admin" => json!("ok"),
        "push" => push(stack, step).await?,
        "get" => get(stack, step),
        "disable" => switch(stack, step, true).await?,
        "enable" => switch(stack, step, false).await?,
        "verify" => match stored(stack, service).await? {
            None => json!({ "error": "not_found" }),
            Some(label) if step["config_version"] == label => json!({ "ok": "matched" }),
            Some(label) => json!({ "ok": "mismatch", "stored": label }),
        },
        "list_pushed" => pushed(stack).await?,
        "delete_pushed" => {
            stack.leave(service, NODE).await?;
            gone(stack, service).await?;
            json!("ok")
        }
        "failed_count" => {
            let registry = stack.gateway.registry();
            let refused = registry.refused(RefusedFilter::default()).await;
            json!(refused.map_err(|e| Error::because("refused", e))?.len())
        }
        other => json!({ "unknown_to_the_runner": other }),
    })
}

/// The instance that pushes.
const NODE: &str = "n@h";

async fn push(stack: &Stack, step: &Value) -> Result<Value> {
    let config = &step["push_config"];
    let functions = match &config["fun_configs"] {
        Value::Array(list) => list.iter().map(fun_config::ours).collect(),
        other => other.clone(),
    };
    let announce = Announce {
        service: &config["service"],
        instance: NODE,
        config_version: &config["config_version"],
        functions: &functions,
        force: step["force"] == true,
        secret: config["push_token"].as_str(),
    };
    status(stack).await?;
    let before = Arc::clone(&stack.gateway.registry().snapshot());
    let answer = stack.announce(&announce).await?;
    status(stack).await?;
    let after = Arc::clone(&stack.gateway.registry().snapshot());
    Ok(match answer {
        Message::Accepted { .. } if Arc::ptr_eq(&before, &after) => {
            json!({ "ok": "skipped", "reason": "version_matches" })
        }
        Message::Accepted { .. } => json!({ "ok": "accepted" }),
        Message::Refused { reasons, .. } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            json!({ "error": "refused", "reasons": reasons })
        }
        other => json!({ "unexpected": format!("{other:?}") }),
    })
}

/// Who asks is answered after all that was heard before.
async fn status(stack: &Stack) -> Result<sluice_gateway::registry::status::Status> {
    let status = stack.gateway.registry().services().await;
    status.map_err(|e| Error::because("status", e))
}

/// Waits until a service has no instance.
async fn gone(stack: &Stack, service: &str) -> Result {
    let mut changes = stack.gateway.registry().changes();
    loop {
        let services = status(stack).await?.services;
        let mut named = services.iter().filter(|s| s.service == service);
        if named.all(|s| s.instances.is_empty()) {
            return Ok(());
        }
        let changed = tokio::time::timeout(crate::LIMIT, changes.changed()).await;
        changed
            .map_err(|e| Error::because("an instance stays", e))?
            .map_err(|e| Error::because("registry", e))?;
    }
}

/// The label of the config that a service's instances run.
async fn stored(stack: &Stack, service: &str) -> Result<Option<String>> {
    let services = status(stack).await?.services;
    let mut named = services.into_iter().filter(|s| s.service == service);
    let configs = named.next().map(|s| s.configs).unwrap_or_default();
    let mut live = configs.into_iter().filter(|c| c.live_instances > 0);
    Ok(live.next().and_then(|c| c.config_version))
}

async fn pushed(stack: &Stack) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for service in status(stack).await?.services {
        if let Some(label) = stored(stack, &service.service).await? {
            all.insert(service.service, label.into());
        }
    }
    Ok(all.into())
}

fn get(stack: &Stack, step: &Value) -> Value {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let snapshot = stack.gateway.registry().snapshot();
    let found = ServiceName::new(text("service"))
        .ok()
        .zip(FunctionName::new(text("request_type")).ok())
        .and_then(|(service, name)| snapshot.services.get(&service)?.get(&name))
        .and_then(|all| all.exact(step["version"].as_str()));
    match found {
        None => json!("not_found"),
        Some(function) if function.disabled => json!("disabled"),
        Some(_) => json!("found"),
    }
}

async fn switch(stack: &Stack, step: &Value, disabled: bool) -> Result<Value> {
    let because = |e: &dyn std::fmt::Display| Error::because("disable", e);
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let service = ServiceName::new(text("service")).map_err(|e| because(&e))?;
    let name = FunctionName::new(text("request_type")).map_err(|e| because(&e))?;
    let version = step["version"].as_str().map(ApiVersion::new).transpose();
    let version = version.map_err(|e| because(&e))?;
    let registry = stack.gateway.registry();
    let known = registry
        .set_disabled(&service, &name, version.as_ref(), disabled)
        .await
        .map_err(|e| because(&e))?;
    Ok(if known {
        json!("ok")
    } else {
        json!({ "error": "not_found" })
    })
}

/// Whether a worker with this secret may register. Secrets are texts: nobody has another one.
async fn token(input: &Value) -> Result<Value> {
    if !(input["token"].is_null() || input["token"].is_string()) {
        return Ok(json!({ "allowed": false }));
    }
    let stack = start(Some(&input["configured"])).await?;
    let step = json!({
        "push_config": {
            "service": "svc", "config_version": "1", "fun_configs": [{ "request_type": "get" }],
            "push_token": input["token"],
        },
    });
    let answer = push(&stack, &step).await?;
    stack.stop().await;
    Ok(json!({ "allowed": answer["ok"] == "accepted" }))
}

/// Whether an operator may do this: what a list of the vector names is granted to a token, and
/// nothing to anybody where there is no list.
fn operator(input: &Value) -> Result<Value> {
    let grant = |action: &Value| match action.as_str() {
        Some("push_config") => Some(Area::Services),
        Some("update_rate_limit_config") => Some(Area::Limits),
        Some("change_detail_error") => Some(Area::Config),
        Some("enable_tracing" | "disable_tracing") => Some(Area::Log),
        _ => None,
    };
    let mut grants = Grants::default();
    for area in input["configured"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(grant)
    {
        let added = grants.add(&Action::write(area).to_string());
        added.map_err(|e| Error::because("grant", e))?;
    }
    let allowed = grant(&input["action"]).is_some_and(|area| grants.allows(Action::write(area)));
    Ok(json!({ "allowed": allowed }))
}

/// Whether a function with this target registers.
async fn target(input: &Value) -> Result<Value> {
    let config = json!({ "request_type": "x", "service": "s", "mfa": input["mfa"] });
    Ok(json!({ "allowed": fun_config::register(&config).is_ok() }))
}
