//! `hooks`: what a call with hooks leads to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::callbacks::{Callback, serve};
use super::exchange::{Exchange, alike, same_reply};
use super::stack::{Handler, Stack};
use super::{Outcome, Vector, responses, unknown};
use crate::Result;

pub(super) async fn run(vector: &Vector) -> Outcome {
    let input = &vector.input;
    let mut hooks = Vec::new();
    for (field, name) in [
        ("before_execute", &input["before"]),
        ("after_execute", &input["after"]),
    ] {
        let Some(name) = name.as_str() else {
            continue;
        };
        match Callback::hook(name) {
            Some(hook) => hooks.push((field, hook)),
            None => return unknown(name),
        }
    }
    let got = call(input, hooks).await.map_err(|e| json!(e.to_string()))?;
    let expected = &vector.expect;
    let right = same_reply(&expected["reply"], &got["reply"])
        && alike(&expected["pushes"], &got["pushes"])
        && expected["handler_called"] == got["handler_called"];
    if right { Ok(()) } else { Err(got) }
}

async fn call(input: &Value, hooks: Vec<(&str, Callback)>) -> Result<Value> {
    let given = &input["config"];
    let mut stack = Stack::start(|config| responses::settings(config, given)).await?;
    let mut function = responses::function(given);
    function.as_object_mut().map(|f| f.remove("service"));
    for (field, hook) in &hooks {
        function[*field] = hook.target(None);
    }
    serve(
        &mut stack,
        hooks.into_iter().map(|(_, hook)| hook).collect(),
    )
    .await?;
    let (taken, called) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let later = function["response_type"] != "sync";
    let handler = handler(later, Arc::clone(&taken), Arc::clone(&called));
    stack.serve("s", json!([function]), handler).await?;
    let user = input["socket_user_id"].as_str().unwrap_or("u1");
    responses::prior_calls(&mut stack, given, user).await?;
    let exchange = Exchange {
        user: Some(user),
        payload: &input["payload"],
        response_type: function["response_type"].as_str().unwrap_or("sync"),
        taken,
        stop_after: None,
    };
    let got = exchange.run(&stack).await;
    stack.stop().await;
    let mut got = got?;
    got["handler_called"] = called.load(Ordering::SeqCst).into();
    Ok(got)
}

/// Answers 1, and says that it was called.
fn handler(later: bool, taken: Arc<Notify>, called: Arc<AtomicBool>) -> Handler {
    let answer = responses::handler(&json!(["ok", 1]), later, taken);
    Arc::new(move |asked| {
        called.store(true, Ordering::SeqCst);
        answer(asked)
    })
}
