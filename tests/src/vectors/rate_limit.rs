//! `rate_limit`: what limits admit, step by step.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_gateway::config::Config;
use sluice_gateway::limiter::{Asking, CountedArgs, Limit, Limiter, Refusal};
use sluice_gateway::pipeline::Caller;
use sluice_protocol::Payload;

use super::{Outcome, Vector, permissions};
use crate::{Error, Result};

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let got = results(input).await.map_err(|e| json!(e.to_string()))?;
    let expected = vector.expect["results"].as_array();
    let alike = expected.is_some_and(|expected| {
        expected.len() == got.len() && expected.iter().zip(&got).all(|(e, g)| e == g)
    });
    if alike {
        Ok(())
    } else {
        Err(json!({ "results": got }))
    }
}

/// The limits of a vector in our form: named by their places, and args by name.
pub(super) fn limits(global: &Value, api: &Value) -> Vec<Limit> {
    let list = |limits: &Value| limits.as_array().cloned().unwrap_or_default();
    let global = list(global).into_iter().enumerate();
    let global = global.map(|(i, limit)| (format!("global-{i}"), limit));
    let api = list(api).into_iter().enumerate();
    let api = api.map(|(i, limit)| (format!("api-{i}"), limit));
    global
        .chain(api)
        .filter_map(|(name, limit)| one(&name, &limit))
        .collect()
}

fn one(name: &str, limit: &Value) -> Option<Limit> {
    let key = match limit["key"].as_str()? {
        own @ ("user_id" | "device_id" | "ip_address") => own.to_owned(),
        arg => format!("arg:{arg}"),
    };
    let limit = json!({
        "name": name, "service": limit["service"], "function": limit["request_type"], "key": key,
        "max_requests": limit["max_requests"], "window_ms": limit["window_ms"],
    });
    Limit::from_json(&limit).ok()
}

async fn results(input: &Value) -> Result<Vec<Value>> {
    let config = Config::default();
    let limits = limits(&input["global_limits"], &input["api_limits"]);
    let limiter = Limiter::in_memory(&limits, &config.limits);
    let mut results = Vec::new();
    for step in input["steps"].as_array().into_iter().flatten() {
        results.push(take(&limiter, step).await?);
    }
    Ok(results)
}

async fn take(limiter: &Limiter, step: &Value) -> Result<Value> {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let values = [text("key").to_owned()];
    Ok(match text("op") {
        "check" => check(limiter, step).await?,
        "direct" => direct(limiter, step).await?,
        "sleep" => {
            let ms = step["ms"].as_u64().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            json!("slept")
        }
        "status" => {
            let mut all = Vec::new();
            for limit in of_scope(limiter, &step["scope"]) {
                all.push(status(limiter, &limit, &values[0]).await?);
            }
            all.into()
        }
        "reset" => {
            for limit in of_scope(limiter, &step["scope"]) {
                let reset = limiter.reset(&limit.name, &values).await;
                reset.map_err(|e| Error::because("reset", e))?;
            }
            json!("ok")
        }
        "remove_global" => {
            remove(limiter, |limit| {
                is_global(limit) && same_key(limit, &step["key"])
            })
            .await?;
            json!("ok")
        }
        // Without any limit nothing is limited.
        "disable" => {
            remove(limiter, |_| true).await?;
            json!("ok")
        }
        "add_global" => {
            let added = if step["limit"].is_object() {
                &step["limit"]
            } else {
                step
            };
            remove(limiter, |limit| {
                is_global(limit) && same_key(limit, &added["key"])
            })
            .await?;
            add(limiter, added).await?;
            json!("ok")
        }
        "set_global" => {
            remove(limiter, is_global).await?;
            for limit in step["limits"].as_array().into_iter().flatten() {
                add(limiter, limit).await?;
            }
            json!("ok")
        }
        "list_global" => all(limiter)
            .into_iter()
            .filter(is_global)
            .map(|limit| {
                json!({
                    "key": named_key(&limit), "max_requests": limit.max_requests,
                    "window_ms": limit.window_ms,
                })
            })
            .collect(),
        other => json!({ "unknown_to_the_runner": other }),
    })
}

async fn check(limiter: &Limiter, step: &Value) -> Result<Value> {
    let args = match &step["args"] {
        Value::Null => json!({}),
        args => args.clone(),
    };
    let args = Payload::json(args.to_string());
    let identity = permissions::identity(step);
    let caller = Caller::default();
    let asking = Asking {
        service: step["service"].as_str().unwrap_or_default(),
        function: step["request_type"].as_str().unwrap_or_default(),
        identity: &identity,
        caller: &caller,
        args: CountedArgs::Today {
            given: &args,
            types: None,
        },
    };
    match limiter.admit(&asking).await {
        Ok(_) => Ok(json!("ok")),
        Err(refusal) => {
            let value = |limit: &Limit| {
                let key = named_key(limit);
                let value = step.get(&key).unwrap_or(&step["args"][&key]);
                value.as_str().unwrap_or_default().to_owned()
            };
            limited(limiter, refusal, value).await
        }
    }
}

/// A key that is counted by hand: against all global limits, or those of a function by its kind.
async fn direct(limiter: &Limiter, step: &Value) -> Result<Value> {
    let key = step["key"].as_str().unwrap_or_default();
    for limit in of_scope(limiter, &step["scope"]) {
        if !is_global(&limit) && !same_key(&limit, &step["limit_key"]) {
            continue;
        }
        let checked = limiter.check(&limit.name, &[key.to_owned()]).await;
        if let Err(refusal) = checked.map_err(|e| Error::because("check", e))? {
            return limited(limiter, refusal, |_| key.to_owned()).await;
        }
    }
    Ok(json!("ok"))
}

/// A refusal as vectors tell it.
async fn limited(
    limiter: &Limiter,
    refusal: Refusal,
    value: impl Fn(&Limit) -> String,
) -> Result<Value> {
    let Refusal::Limited { rule, .. } = refusal else {
        return Ok(json!({ "error": "rate_limiter_unavailable" }));
    };
    let limit = &rule.limit;
    let value = value(limit);
    let status = status(limiter, limit, &value).await?;
    let key = match (&limit.service, &limit.function) {
        (Some(service), Some(function)) => format!("{service}:{function}:{value}"),
        _ => value,
    };
    Ok(json!({
        "limited": true, "current_requests": status["current_requests"],
        "max_requests": limit.max_requests, "scope": scope(limit), "key": key,
    }))
}

async fn status(limiter: &Limiter, limit: &Limit, value: &str) -> Result<Value> {
    let status = limiter.status(&limit.name, &[value.to_owned()]).await;
    let status = status.map_err(|e| Error::because("status", e))?;
    let used = status.key.map(|key| (key.current_requests, key.remaining));
    let (current, remaining) = used.unwrap_or_default();
    Ok(json!({
        "key": value, "max_requests": limit.max_requests, "current_requests": current,
        "remaining": remaining, "window_ms": limit.window_ms, "scope": scope(limit),
    }))
}

async fn remove(limiter: &Limiter, which: impl Fn(&Limit) -> bool) -> Result {
    for limit in all(limiter).into_iter().filter(which) {
        let removed = limiter.remove(&limit.name).await;
        removed.map_err(|e| Error::because("remove", e))?;
    }
    Ok(())
}

async fn add(limiter: &Limiter, limit: &Value) -> Result {
    let taken: Vec<String> = all(limiter).iter().map(|l| l.name.to_string()).collect();
    let name = (0..)
        .map(|i| format!("added-{i}"))
        .find(|name| !taken.contains(name));
    match one(&name.unwrap_or_default(), limit) {
        Some(limit) => {
            let added = limiter.add(limit).await;
            added.map_err(|e| Error::because("add", e))
        }
        None => Err(Error::new(format!("not a limit: {limit}"))),
    }
}

fn all(limiter: &Limiter) -> Vec<Limit> {
    let list = limiter.list().into_iter();
    list.filter_map(|status| Limit::from_json(&status.limit).ok())
        .collect()
}

/// The limits of a scope: `"global"`, or `[service, function]`.
fn of_scope(limiter: &Limiter, wanted: &Value) -> Vec<Limit> {
    let mut limits = all(limiter);
    limits.retain(|limit| scope(limit) == *wanted);
    limits
}

fn scope(limit: &Limit) -> Value {
    match (&limit.service, &limit.function) {
        (Some(service), Some(function)) => json!([service, function]),
        _ => json!("global"),
    }
}

fn is_global(limit: &Limit) -> bool {
    limit.service.is_none()
}

fn same_key(limit: &Limit, key: &Value) -> bool {
    *key == named_key(limit)
}

/// The key as vectors name it.
fn named_key(limit: &Limit) -> String {
    let key = limit.key.to_string();
    key.strip_prefix("arg:").map_or(key.clone(), str::to_owned)
}
