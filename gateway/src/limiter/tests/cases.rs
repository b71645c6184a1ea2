//! A table of small stories: limits, calls, and who is refused by what.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_protocol::Identity;
use sluice_protocol::payload::Payload;

use crate::config::LimitOptions;
use crate::limiter::{Asking, CountedArgs, Limit, Limiter, Refusal};
use crate::pipeline::Caller;

/// One step: a call as `{user, device, of, args}`, or `{wait}`, `{reset}`, `{remove}`; and who
/// refuses it.
type Step = (Value, Option<&'static str>);

fn ok(step: Value) -> Step {
    (step, None)
}

fn no(step: Value, by: &'static str) -> Step {
    (step, Some(by))
}

async fn run(title: &str, limits: Value, steps: Vec<Step>) {
    let limits: Vec<Limit> = limits
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, limit)| {
            let mut limit = limit.clone();
            limit["name"] = ["a", "b", "c"][i].into();
            limit["window_ms"] = limit.get("window_ms").cloned().unwrap_or(10_000.into());
            Limit::from_json(&limit).unwrap()
        })
        .collect();
    let limiter = Limiter::in_memory(&limits, &LimitOptions::default());
    for (i, (step, refused_by)) in steps.into_iter().enumerate() {
        let refused = take(&limiter, &step).await;
        assert_eq!(refused.as_deref(), refused_by, "{title}: step {i}: {step}");
    }
}

async fn take(limiter: &Limiter, step: &Value) -> Option<String> {
    if let Some(ms) = step["wait"].as_u64() {
        tokio::time::advance(Duration::from_millis(ms)).await;
        return None;
    }
    if let Some(value) = step["reset"].as_str() {
        limiter.reset("a", &[value.to_owned()]).await.unwrap();
        return None;
    }
    if let Some(name) = step["remove"].as_str() {
        limiter.remove(name).await.unwrap();
        return None;
    }
    let text = |name: &str| step[name].as_str().map(str::to_owned);
    let identity = Identity {
        user_id: text("user"),
        device_id: text("device"),
        ..Identity::default()
    };
    let caller = Caller {
        address: Some(
            step["from"]
                .as_str()
                .unwrap_or("192.0.2.1")
                .parse()
                .unwrap(),
        ),
        ..Caller::default()
    };
    let (service, function) = step["of"]
        .as_str()
        .unwrap_or("s.x")
        .split_once('.')
        .unwrap();
    let args = step.get("args").cloned().unwrap_or(json!({}));
    let asking = Asking {
        service,
        function,
        identity: &identity,
        caller: &caller,
        args: CountedArgs::Today {
            given: &Payload::json(args.to_string()),
            types: None,
        },
    };
    match limiter.admit(&asking).await {
        Ok(_) => None,
        Err(Refusal::Limited { rule, .. }) => Some(rule.limit.name.to_string()),
        Err(Refusal::Unavailable) => Some("unavailable".to_owned()),
    }
}

fn user(name: &str) -> Value {
    json!({ "user": name })
}

fn one_per_user() -> Value {
    json!([{"key": "user_id", "max_requests": 1}])
}

#[tokio::test(start_paused = true)]
async fn nobody_is_unlimited() {
    let nobody = json!({"device": "d1"});
    run(
        "no user",
        one_per_user(),
        vec![ok(nobody.clone()), no(nobody.clone(), "a")],
    )
    .await;
    run(
        "an empty user",
        one_per_user(),
        vec![ok(nobody.clone()), no(user(""), "a")],
    )
    .await;
    let elsewhere = json!({"from": "192.0.2.2"});
    run(
        "by address then",
        one_per_user(),
        vec![ok(nobody), ok(elsewhere)],
    )
    .await;
    let limits = json!([{"key": "ip_address", "max_requests": 1}]);
    run(
        "by address",
        limits,
        vec![ok(user("u")), no(user("v"), "a")],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_window_slides() {
    let limits = json!([{"key": "user_id", "max_requests": 2, "window_ms": 150}]);
    let u = || user("u");
    let steps = vec![
        ok(u()),
        ok(json!({"wait": 100})),
        ok(u()),
        no(u(), "a"),
        ok(json!({"wait": 49})),
        no(u(), "a"),
        ok(json!({"wait": 1})),
        ok(u()),
        no(u(), "a"),
        ok(json!({"wait": 200})),
        ok(u()),
        ok(u()),
        no(u(), "a"),
    ];
    run("slides", limits, steps).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_applies_to_what_it_names() {
    let limits = json!([{"service": "s", "function": "x", "key": "user_id", "max_requests": 1}]);
    let of = |name: &str| json!({"user": "u", "of": name});
    let steps = vec![
        ok(of("s.x")),
        no(of("s.x"), "a"),
        ok(of("s.y")),
        ok(of("t.x")),
    ];
    run("a function", limits, steps).await;
    let limits = json!([{"service": "s", "key": "user_id", "max_requests": 2}]);
    let steps = vec![
        ok(of("s.x")),
        ok(of("s.y")),
        no(of("s.z"), "a"),
        ok(of("t.x")),
    ];
    run("a service", limits, steps).await;
    let limits = json!([{"service": "a:b", "function": "x", "key": "user_id", "max_requests": 1}]);
    let steps = vec![ok(of("a:b.x")), no(of("a:b.x"), "a"), ok(of("a.b:x"))];
    run("odd names", limits, steps).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_uses_up_nothing() {
    let limits = json!([
        {"key": "user_id", "max_requests": 2},
        {"service": "s", "function": "x", "key": "user_id", "max_requests": 1},
    ]);
    let of = |name: &str| json!({"user": "u", "of": name});
    let steps = vec![
        ok(of("s.x")),
        no(of("s.x"), "b"),
        no(of("s.x"), "b"),
        ok(of("s.y")),
        no(of("s.y"), "a"),
    ];
    run("two limits", limits, steps).await;
}

#[tokio::test(start_paused = true)]
async fn args_count_by_what_they_say() {
    let limits = || json!([{"key": "arg:tenant", "max_requests": 1}]);
    let with = |value: Value| json!({"user": "u", "args": {"tenant": value}});
    let steps = vec![
        ok(with("t1".into())),
        no(with("t1".into()), "a"),
        ok(with("t2".into())),
    ];
    run("texts", limits(), steps).await;
    let steps = vec![
        ok(with(5.into())),
        no(with(5.into()), "a"),
        no(with("5".into()), "a"),
    ];
    run("numbers", limits(), steps).await;
    let steps = vec![ok(user("u")), no(user("v"), "a"), no(with(json!([1])), "a")];
    run("left out", limits(), steps).await;
}

#[tokio::test(start_paused = true)]
async fn limits_do_not_get_in_each_others_way() {
    let limits = json!([
        {"key": "user_id", "max_requests": 2},
        {"key": "device_id", "max_requests": 5},
    ]);
    let same = json!({"user": "same", "device": "same"});
    let steps = vec![ok(same.clone()), ok(same.clone()), no(same, "a")];
    run("equal values", limits, steps).await;
    let limits = json!([
        {"key": "user_id", "max_requests": 100},
        {"key": "user_id", "max_requests": 3, "window_ms": 60_000},
    ]);
    let mut steps = vec![
        ok(user("u")),
        ok(user("u")),
        ok(user("u")),
        no(user("u"), "b"),
    ];
    // The shorter window is over, the longer one is not.
    steps.extend([ok(json!({"wait": 30_000})), no(user("u"), "b")]);
    steps.extend([ok(json!({"wait": 30_000})), ok(user("u"))]);
    run("two windows", limits, steps).await;
}

#[tokio::test(start_paused = true)]
async fn zero_cost_reset_and_remove() {
    let limits = json!([{"key": "user_id", "max_requests": 0}]);
    run(
        "zero blocks",
        limits,
        vec![no(user("u"), "a"), no(user("u"), "a")],
    )
    .await;
    let limits = json!([{"key": "user_id", "max_requests": 5, "cost": 2}]);
    run(
        "cost",
        limits,
        vec![ok(user("u")), ok(user("u")), no(user("u"), "a")],
    )
    .await;
    let (u, v) = (|| user("u"), || user("v"));
    let steps = vec![
        ok(u()),
        ok(v()),
        no(u(), "a"),
        ok(json!({"reset": "u"})),
        ok(u()),
        no(v(), "a"),
    ];
    run("reset", one_per_user(), steps).await;
    let steps = vec![
        ok(u()),
        no(u(), "a"),
        ok(json!({"remove": "a"})),
        ok(u()),
        ok(u()),
    ];
    run("remove", one_per_user(), steps).await;
}
