//! Handlers called without a broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_worker::testing::TestWorker;
use sluice_worker::{Context, Error, Identity, JsonSchema, StreamSender, Worker};
use tokio_util::sync::CancellationToken;

#[derive(Deserialize, JsonSchema)]
struct Count {
    to: u64,
}

fn worker() -> TestWorker {
    TestWorker::new(
        Worker::builder("main")
            .function("whoami", async |ctx: Context| ctx.identity().clone())
            .function("panics", async || -> u8 { panic!("no") })
            .function("hangs", std::future::pending::<()>)
            .function("asks", async |ctx: Context| -> Result<Value, Error> {
                ctx.call("users", "get", json!({"id": 7})).await
            })
            .stream("count", async |args: Count, out: StreamSender<u64>| {
                for n in 1..=args.to {
                    if n == 3 {
                        return Err(Error::new("three", "too much"));
                    }
                    out.send(n).await?;
                }
                Ok(())
            })
            .service("other", |s| {
                s.version("2.0.0").function("name", async || "other")
            }),
    )
}

#[tokio::test]
async fn results_identities_and_services() {
    let ann = Identity {
        user_id: Some("ann".into()),
        ..Identity::default()
    };
    let seen = worker().identity(ann).call("whoami", json!({})).await;
    assert_eq!(seen.unwrap(), json!({"user_id": "ann"}));
    let other = worker().service("other").version("2.0.0");
    assert_eq!(other.call("name", json!({})).await.unwrap(), json!("other"));
    let error = other
        .version("1.0.0")
        .call("name", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unknown_function");
    let error = worker().call("panics", json!({})).await.unwrap_err();
    assert_eq!(error.code(), "worker_error");
}

#[tokio::test]
async fn streams_are_collected_up_to_their_end() {
    let two = worker().stream("count", json!({"to": 2})).await;
    assert_eq!(
        (two.items, two.end.is_ok()),
        (vec![json!(1), json!(2)], true)
    );
    let three = worker().stream("count", json!({"to": 3})).await;
    assert_eq!(three.items.len(), 2);
    assert_eq!(three.end.unwrap_err().code(), "three");
    let wrong = worker().stream("count", json!({})).await;
    assert_eq!(wrong.end.unwrap_err().code(), "invalid_arguments");
}

#[tokio::test]
async fn cancellation_drops_the_handler() {
    let token = CancellationToken::new();
    let worker = worker().cancellation(token.clone());
    let call = tokio::spawn(async move { worker.call("hangs", json!({})).await });
    tokio::task::yield_now().await;
    token.cancel();
    assert_eq!(call.await.unwrap().unwrap_err().code(), "cancelled");
}

#[tokio::test]
async fn other_workers_are_played_by_answers() {
    let lonely = worker().call("asks", json!({})).await.unwrap_err();
    assert_eq!(lonely.code(), "no_workers");
    let answered = worker()
        .answer("users", "get", |args| {
            Ok(json!({"name": "ann", "asked": args}))
        })
        .call("asks", json!({}))
        .await;
    assert_eq!(
        answered.unwrap(),
        json!({"name": "ann", "asked": {"id": 7}})
    );
}

#[test]
#[should_panic(expected = "main.f: version: \"0.0.0\" means the latest")]
fn mistakes_panic_with_their_text() {
    let function = sluice_worker::Function::sync("f", async || 1).version("0.0.0");
    let _ = TestWorker::new(Worker::builder("main").function_with(function));
}
