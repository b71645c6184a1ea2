//! The demo worker: one function for each thing that Sluice does.
//!
//! | function | answers | shows |
//! |---|---|---|
//! | `echo` `{message}` | the args | a sync call |
//! | `add` `{a, b}` | `{sum}` | checked args; GET |
//! | `sleep` `{ms}` | `{slept}` | timeouts, beats, fail-over |
//! | `where_random` … `where_least_loaded` `{key}` | `{instance}` | selection of instances |
//! | `report` `{ms}` | later `{done}` | an async call |
//! | `count` `{to, delay_ms}` | items `{n}` | a stream |
//! | `log` `{message}` | nothing | a call without result |
//! | `fail` `{code, message, can_retry}` | that error | errors |
//! | `flaky` `{failures}` | `{attempt}`, after so many attempts that failed | retries |
//! | `whoami` | the caller's identity | identity |
//! | `big` `{bytes}` | a long string | large results |

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use sluice_worker::{Context, Error, Function, Identity, StreamSender, Worker, WorkerBuilder};

/// The service's name unless told otherwise.
pub const SERVICE: &str = "demo";
/// The version of all functions unless told otherwise.
pub const VERSION: &str = "1.0.0";

/// Most time for the functions that wait as long as they are told.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo worker, with its own name and version.
pub fn worker() -> WorkerBuilder {
    worker_as(SERVICE, VERSION)
}

/// The demo worker under another name or version.
pub fn worker_as(service: &str, version: &str) -> WorkerBuilder {
    Worker::builder(service)
        .version(version)
        .config_version(env!("CARGO_PKG_VERSION"))
        .function_with(
            Function::sync("echo", echo)
                .description("answers with its args")
                .idempotent(),
        )
        .function_with(
            Function::sync("add", add)
                .description("adds two numbers")
                .idempotent(),
        )
        .function_with(
            Function::sync("sleep", sleep)
                .description("answers after so many milliseconds")
                .timeout(PATIENCE),
        )
        .function_with(Function::sync("where_random", here_or_anywhere).idempotent())
        .function_with(
            Function::sync("where_round_robin", here_or_anywhere)
                .round_robin()
                .idempotent(),
        )
        .function_with(
            Function::sync("where_hash", here)
                .hash_arg("key")
                .idempotent(),
        )
        .function_with(
            Function::sync("where_sticky", here)
                .sticky("key")
                .idempotent(),
        )
        .function_with(
            Function::sync("where_least_loaded", here_or_anywhere)
                .least_loaded()
                .idempotent(),
        )
        .function_with(
            Function::asynchronous("report", report)
                .description("is acknowledged at once and done after so many milliseconds")
                .timeout(PATIENCE),
        )
        .function_with(Function::stream("count", count).description("counts from 1"))
        .function_with(Function::none("log", log).description("writes to the worker's log"))
        .function_with(Function::sync("fail", fail).description("fails as it is told"))
        .function_with(
            Function::sync("flaky", flaky)
                .description("fails at its first attempts, as many as it is told")
                .retry(3),
        )
        .function_with(
            Function::sync("whoami", whoami)
                .description("answers with the caller's identity")
                .request_info()
                .idempotent(),
        )
        .function_with(Function::sync("big", big).description("answers with a string of x"))
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Echo {
    message: String,
}

async fn echo(args: Echo) -> Echo {
    args
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Add {
    a: Number,
    b: Number,
}

/// Integers stay integers.
async fn add(args: Add) -> Result<Value, Error> {
    let (a, b) = (&args.a, &args.b);
    let whole = a
        .as_i64()
        .zip(b.as_i64())
        .and_then(|(a, b)| a.checked_add(b));
    if let Some(sum) = whole {
        return Ok(json!({ "sum": sum }));
    }
    let sum = a.as_f64().zip(b.as_f64()).map(|(a, b)| a + b);
    let sum = sum.and_then(Number::from_f64);
    let sum = sum.ok_or_else(|| Error::invalid_arguments("the sum is beyond all numbers"))?;
    Ok(json!({ "sum": sum }))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Wait {
    ms: u64,
}

async fn sleep(args: Wait) -> Value {
    tracing::info!(ms = args.ms, "sleep begins");
    tokio::time::sleep(Duration::from_millis(args.ms)).await;
    json!({ "slept": args.ms })
}

async fn report(args: Wait) -> Value {
    tokio::time::sleep(Duration::from_millis(args.ms)).await;
    json!({ "done": true })
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Keyed {
    #[serde(rename = "key")]
    _key: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct MaybeKeyed {
    #[serde(rename = "key")]
    _key: Option<String>,
}

async fn here(ctx: Context, _: Keyed) -> Value {
    json!({ "instance": ctx.instance() })
}

async fn here_or_anywhere(ctx: Context, _: MaybeKeyed) -> Value {
    json!({ "instance": ctx.instance() })
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Count {
    to: u64,
    #[serde(default)]
    delay_ms: u64,
}

async fn count(args: Count, out: StreamSender<Value>) -> Result<(), Error> {
    for n in 1..=args.to {
        if args.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(args.delay_ms)).await;
        }
        out.send(json!({ "n": n })).await?;
    }
    Ok(())
}

async fn log(args: Echo) {
    tracing::info!(message = args.message, "log");
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
struct Fail {
    code: String,
    message: String,
    can_retry: bool,
}

impl Default for Fail {
    fn default() -> Self {
        Self {
            code: "demo_failed".to_owned(),
            message: "failed as it was told".to_owned(),
            can_retry: false,
        }
    }
}

async fn fail(args: Fail) -> Result<(), Error> {
    Err(Error::new(args.code, args.message).can_retry(args.can_retry))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Flaky {
    failures: u32,
}

/// The gateway tries again, as the function's `retry` says; attempts count from 1.
async fn flaky(ctx: Context, args: Flaky) -> Result<Value, Error> {
    let attempt = ctx.attempt();
    if attempt <= args.failures {
        let text = format!("attempt {attempt} failed as it was told");
        return Err(Error::new("demo_flaky", text).can_retry(true));
    }
    Ok(json!({ "attempt": attempt }))
}

async fn whoami(ctx: Context) -> Identity {
    ctx.identity().clone()
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Big {
    bytes: usize,
}

/// Above this the broker would refuse the result in any case; a stranger may ask for anything.
const MOST_BYTES: usize = 64 * 1024 * 1024;

async fn big(args: Big) -> Result<String, Error> {
    if args.bytes > MOST_BYTES {
        let text = format!("bytes must be at most {MOST_BYTES}, got {}", args.bytes);
        return Err(Error::invalid_arguments(text));
    }
    Ok("x".repeat(args.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_worker::testing::TestWorker;

    async fn call(function: &str, args: Value) -> Result<Value, Error> {
        TestWorker::new(worker()).call(function, args).await
    }

    #[tokio::test(start_paused = true)]
    async fn each_function_does_what_its_row_says() {
        for (function, args, result) in [
            ("echo", json!({"message": "hi"}), json!({"message": "hi"})),
            ("add", json!({"a": 1, "b": 2}), json!({"sum": 3})),
            ("add", json!({"a": 0.5, "b": 2}), json!({"sum": 2.5})),
            ("sleep", json!({"ms": 10}), json!({"slept": 10})),
            ("report", json!({"ms": 10}), json!({"done": true})),
            ("log", json!({"message": "hi"}), json!(null)),
            ("flaky", json!({"failures": 0}), json!({"attempt": 1})),
            ("whoami", json!({}), json!({})),
            ("big", json!({"bytes": 3}), json!("xxx")),
        ] {
            let answer = call(function, args).await;
            assert_eq!(answer.ok(), Some(result), "{function}");
        }
        for function in ["random", "round_robin", "hash", "sticky", "least_loaded"] {
            let function = format!("where_{function}");
            let answer = call(&function, json!({"key": "a"})).await.unwrap();
            assert!(answer["instance"].as_str().unwrap().starts_with("demo-"));
        }
        let anywhere = call("where_random", json!({})).await;
        assert!(anywhere.is_ok());
        assert!(call("where_hash", json!({})).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_and_fails_as_told() {
        let worker = TestWorker::new(worker());
        let counted = worker
            .stream("count", json!({"to": 2, "delay_ms": 5}))
            .await;
        assert_eq!(counted.items, [json!({"n": 1}), json!({"n": 2})]);
        let told = json!({"code": "x", "message": "y", "can_retry": true});
        let error = worker.call("fail", told).await.unwrap_err();
        assert_eq!((error.code(), error.message()), ("x", "y"));
        assert!(error.is_retryable());
        let error = worker.call("fail", json!({})).await.unwrap_err();
        assert_eq!(error.code(), "demo_failed");
        let error = worker
            .call("big", json!({"bytes": u64::MAX}))
            .await
            .unwrap_err();
        assert_eq!(error.http_status(), 422);
    }
}
