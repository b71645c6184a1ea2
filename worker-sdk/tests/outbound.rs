//! Calls from handlers to other workers, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{ErrorCode, Executed};
use sluice_worker::{Context, Error, Function, StreamSender, Worker};
use support::{Gateway, NatsServer, call_headers, soon};

async fn seen(ctx: Context, args: Value) -> Value {
    json!({
        "args": args, "user": ctx.identity().user_id, "roles": ctx.identity().roles,
        "request": ctx.request_id(), "trace": ctx.traceparent(), "attempt": ctx.attempt(),
        "left_ms": ctx.remaining().map(|left| u64::try_from(left.as_millis()).unwrap()),
    })
}

/// Calls what the args say, and answers with the result.
async fn relay(ctx: Context, args: Value) -> Result<Value, Error> {
    let function = args["function"].as_str().unwrap_or_default();
    let mut call = ctx.call::<Value>("callee", function, &args["args"]);
    if let Some(version) = args["version"].as_str() {
        call = call.version(version);
    }
    if let Some(ms) = args["timeout_ms"].as_u64() {
        call = call.timeout(Duration::from_millis(ms));
    }
    call.await
}

struct World {
    _server: NatsServer,
    gateway: Gateway,
    workers: [Worker; 2],
}

async fn world() -> World {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let caller = Worker::builder("s")
        .connect(&server.url())
        .function("relay", relay)
        .function("tell", async |ctx: Context| {
            ctx.call::<Value>("callee", "log", json!({})).taken().await
        });
    let callee = Worker::builder("callee")
        .connect(&server.url())
        .function("seen", seen)
        .function_with(Function::sync("versioned", async || "one").version("1.0.0"))
        .function("slow", async || {
            tokio::time::sleep(Duration::from_millis(1300)).await;
            "slow, but it beats"
        })
        .function("hang", std::future::pending::<()>)
        .async_function("report", async || "later")
        .notify("log", async || std::future::pending::<()>().await)
        .stream("stream", async |out: StreamSender<u8>| out.send(1).await)
        .function("fails", async || {
            Err::<(), _>(Error::new("own", "no").status(418).details(json!({"a": 1})))
        });
    let workers = [caller.start().await.unwrap(), callee.start().await.unwrap()];
    for worker in &workers {
        soon("ready", worker.ready()).await;
    }
    World {
        _server: server,
        gateway,
        workers,
    }
}

#[tokio::test]
async fn identity_deadline_and_trace_are_carried_on() {
    let w = world().await;
    let args = json!({"function": "seen", "args": {"x": 1}});
    let headers = CallHeaders {
        deadline_ms: 30_000,
        attempt: 3,
        ..call_headers()
    };
    let subject = w.gateway.call_subject("s", "relay");
    let mut reply = w.gateway.send(&subject, &headers, args).await;
    let mut result = reply.result().await;
    let left = result["left_ms"].take().as_u64().unwrap();
    assert!(left > 0 && left <= 30_000, "{left}");
    let expected = json!({
        "args": {"x": 1}, "user": "ann", "roles": ["admin"], "request": "r 1",
        "trace": headers.traceparent, "attempt": 1, "left_ms": null,
    });
    assert_eq!(result, expected);
    for worker in w.workers {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn every_kind_of_answer_arrives() {
    let w = world().await;
    let relay = async |args: Value| w.gateway.call("relay", args).await;
    let mut versioned = relay(json!({"function": "versioned", "version": "1.0.0"})).await;
    assert_eq!(versioned.result().await, json!("one"));
    let mut slow = relay(json!({"function": "slow"})).await;
    assert_eq!(slow.result().await, json!("slow, but it beats"));
    let mut report = relay(json!({"function": "report"})).await;
    assert_eq!(report.result().await, json!("later"));
    let mut tell = w.gateway.call("tell", json!({})).await;
    assert_eq!(tell.result().await, Value::Null, "taken is enough");

    let error = relay(json!({"function": "fails"})).await.error().await;
    assert_eq!((error.code_text(), error.http_status()), ("own", 418));
    assert_eq!(error.details.unwrap()["a"], json!(1));
    let error = relay(json!({"function": "stream"})).await.error().await;
    assert_eq!(error.code, ErrorCode::WorkerError);
    // The unversioned token is no "latest".
    let none = relay(json!({"function": "versioned"})).await.error().await;
    assert_eq!(none.code_text(), "no_workers");
    assert!(
        none.message.contains("callee.versioned (no version)"),
        "{}",
        none.message
    );
    assert_eq!(none.executed, Executed::No);
    let hang = json!({"function": "hang", "timeout_ms": 300});
    let error = relay(hang).await.error().await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Timeout, Executed::Unknown)
    );
}
