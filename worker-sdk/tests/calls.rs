//! Calls and their frames, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{Encoding, ErrorCode, Executed, Frame};
use sluice_worker::{Context, Error, Function, JsonSchema, Worker, WorkerBuilder};
use support::{Gateway, NatsServer, Replies, call_headers, cancel, eventually, soon};
use tokio::sync::{Notify, Semaphore};

struct World {
    _server: NatsServer,
    gateway: Gateway,
    worker: Worker,
}

async fn world(build: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> World {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let builder = Worker::builder("s").connect(&server.url());
    let worker = build(builder).start().await.unwrap();
    soon("ready", worker.ready()).await;
    World {
        _server: server,
        gateway,
        worker,
    }
}

#[derive(Deserialize, JsonSchema)]
struct Pair {
    a: f64,
    b: f64,
}

#[derive(Serialize)]
struct Sum {
    sum: f64,
}

async fn add(args: Pair) -> Sum {
    Sum {
        sum: args.a + args.b,
    }
}

async fn whoami(ctx: Context) -> Result<Value, Error> {
    Ok(json!({
        "identity": ctx.identity(), "request": ctx.request_id(), "call": ctx.call_id(),
        "attempt": ctx.attempt(), "trace": ctx.traceparent(), "instance": ctx.instance(),
        "service": ctx.service(), "function": ctx.function(), "left": ctx.remaining().is_some(),
    }))
}

#[tokio::test]
async fn a_sync_result_is_bare_and_in_the_encoding_of_the_call() {
    let w = world(|b| b.function("add", add)).await;
    let mut json = w.gateway.call("add", json!({"a": 1, "b": 2.5})).await;
    let message = json.message().await;
    assert_eq!(
        (message.headers, &message.payload[..]),
        (None, &br#"{"sum":3.5}"#[..])
    );
    let headers = CallHeaders {
        encoding: Encoding::MessagePack,
        ..call_headers()
    };
    let subject = w.gateway.call_subject("s", "add");
    let mut packed = w
        .gateway
        .send(&subject, &headers, json!({"a": 1, "b": 2}))
        .await;
    match packed.frame().await {
        Frame::Result(payload) => assert_eq!(payload.encoding, Encoding::MessagePack),
        other => panic!("{other:?}"),
    }
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_handler_sees_the_call_on_both_subjects() {
    let w = world(|b| b.function("whoami", whoami)).await;
    let headers = CallHeaders {
        attempt: 2,
        ..call_headers()
    };
    for subject in [
        w.gateway.call_subject("s", "whoami"),
        w.gateway
            .instance_subject(w.worker.instance(), "s", "whoami"),
    ] {
        let mut reply = w.gateway.send(&subject, &headers, json!({})).await;
        let expected = json!({
            "identity": {"user_id": "ann", "roles": ["admin"]}, "request": "r 1",
            "call": headers.call_id, "attempt": 2, "trace": headers.traceparent,
            "instance": w.worker.instance(), "service": "s", "function": "whoami", "left": true,
        });
        assert_eq!(reply.result().await, expected);
    }
    let unknown = w.gateway.instance_subject(w.worker.instance(), "s", "nope");
    let mut reply = w.gateway.send(&unknown, &headers, json!({})).await;
    assert_eq!(reply.error().await.code, ErrorCode::UnknownFunction);
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_plain_nats_client_is_served_too() {
    let w = world(|b| {
        b.function("whoami", whoami)
            .function("echo", async |a: Value| a)
    })
    .await;
    let subject = w.gateway.call_subject("s", "whoami");
    let mut reply = w.gateway.send_raw(&subject, None, "".into()).await;
    let seen = reply.result().await;
    assert_eq!(
        (&seen["identity"], &seen["left"]),
        (&json!({}), &json!(true))
    );
    let subject = w.gateway.call_subject("s", "echo");
    let mut reply = w.gateway.send_raw(&subject, None, "".into()).await;
    assert_eq!(reply.result().await, json!({}));
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn async_and_none_are_acknowledged_when_they_are_taken() {
    let gate = Arc::new(Semaphore::new(0));
    let (slow, quiet) = (gate.clone(), gate.clone());
    let w = world(|b| {
        b.async_function("report", move || {
            let slow = slow.clone();
            async move {
                slow.acquire().await.unwrap().forget();
                "done"
            }
        })
        .notify("log", move || {
            let quiet = quiet.clone();
            async move {
                quiet.add_permits(1);
                Err::<(), _>(Error::new("nobody", "hears this"))
            }
        })
    })
    .await;
    let instance = w.worker.instance().to_string();
    let mut report = w.gateway.call("report", json!({})).await;
    assert_eq!(report.accepted().await, instance);
    // It goes on only once the other has run: so it was acknowledged before its end.
    let mut log = w.gateway.call("log", json!({})).await;
    assert_eq!(log.accepted().await, instance);
    assert_eq!(report.result().await, json!("done"));
    eventually("both done", || w.worker.in_flight() == 0).await;
    w.worker.shutdown().await.unwrap();
    w.gateway.settle().await;
    let more = tokio::time::timeout(Duration::from_millis(50), log.message()).await;
    assert!(more.is_err(), "an error of `none` is not sent: {more:?}");
}

#[tokio::test]
async fn errors_say_what_the_handler_says_and_hide_what_it_must_not_say() {
    let w = world(|b| {
        b.function("own", async || {
            Err::<(), _>(
                Error::new("user_not_found", "no such user: é")
                    .status(404)
                    .details(json!({"id": 7}))
                    .can_retry(true),
            )
        })
        .function("io", async || -> Result<String, Error> {
            Ok(std::fs::read_to_string("/secret/path")?)
        })
        .function("panic", async || -> u8 { panic!("at the disco") })
        .function("typed", add)
    })
    .await;
    let own = w.gateway.call("own", json!({})).await.error().await;
    assert_eq!(
        (own.code_text(), own.http_status()),
        ("user_not_found", 404)
    );
    assert_eq!(own.message, "no such user: é");
    assert_eq!((own.can_retry, own.executed), (true, Executed::Yes));
    assert_eq!(own.details.unwrap()["id"], json!(7));
    let io = w.gateway.call("io", json!({})).await.error().await;
    assert_eq!(io.code_text(), "worker_error");
    assert!(!format!("{io:?}").contains("No such file"));
    let panic = w.gateway.call("panic", json!({})).await.error().await;
    assert_eq!(
        (panic.code_text(), panic.http_status()),
        ("worker_error", 500)
    );
    assert!(!format!("{panic:?}").contains("disco"));
    let typed = w.gateway.call("typed", json!({"a": 1})).await.error().await;
    assert_eq!(typed.code, ErrorCode::InvalidArguments);
    assert_eq!(typed.executed, Executed::No);
    assert!(
        typed.message.contains("missing field `b`"),
        "{}",
        typed.message
    );
    // The worker goes on.
    let mut good = w.gateway.call("typed", json!({"a": 1, "b": 1})).await;
    assert_eq!(good.result().await, json!({"sum": 2.0}));
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_result_above_the_limit_is_an_error_and_the_connection_stays() {
    let w = world(|b| {
        b.function("big", async |n: Value| {
            "x".repeat(n["n"].as_u64().unwrap_or(0) as usize)
        })
        .function("long", async || {
            let details = json!({"text": "x".repeat(2_000_000)});
            Err::<(), _>(Error::new("long", "long").details(details))
        })
    })
    .await;
    let limit = w.gateway.client.max_payload();
    let error = w
        .gateway
        .call("big", json!({"n": limit - 1}))
        .await
        .error()
        .await;
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    assert!(
        error.message.contains(&limit.to_string()),
        "{}",
        error.message
    );
    let mut fits = w.gateway.call("big", json!({"n": limit - 2})).await;
    assert_eq!(fits.message().await.payload.len(), limit);
    let error = w.gateway.call("long", json!({})).await.error().await;
    assert_eq!((error.code_text(), &error.details), ("long", &None));
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn long_calls_beat_also_while_they_queue() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let w = world(|b| {
        b.concurrency(1).function("wait", move || {
            let gate = opened.clone();
            async move { gate.acquire().await.unwrap().forget() }
        })
    })
    .await;
    let mut running = w.gateway.call("wait", json!({})).await;
    let mut queued = w.gateway.call("wait", json!({})).await;
    for replies in [&mut running, &mut queued] {
        for _ in 0..2 {
            let Frame::Beat { instance, seq } = replies.frame().await else {
                panic!("not a beat");
            };
            assert_eq!((instance.as_str(), seq), (w.worker.instance().as_str(), 0));
        }
    }
    gate.add_permits(2);
    assert_eq!(running.result().await, Value::Null);
    assert_eq!(queued.result().await, Value::Null);
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn above_concurrency_and_queue_it_is_overloaded_and_recovers() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let w = world(|b| {
        b.concurrency(2).queue(1).function("wait", move || {
            let gate = opened.clone();
            async move { gate.acquire().await.unwrap().forget() }
        })
    })
    .await;
    let mut taken: Vec<Replies> = Vec::new();
    for _ in 0..3 {
        taken.push(w.gateway.call("wait", json!({})).await);
    }
    eventually("three are held", || w.worker.in_flight() == 3).await;
    let mut refused = w.gateway.call("wait", json!({})).await;
    let Frame::Error { error, instance } = refused.frame().await else {
        panic!("not refused");
    };
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Overloaded, Executed::No)
    );
    assert!(error.can_retry);
    assert_eq!(instance.as_deref(), Some(w.worker.instance().as_str()));
    gate.add_permits(4);
    for mut replies in taken {
        assert_eq!(replies.result().await, Value::Null);
    }
    let mut again = w.gateway.call("wait", json!({})).await;
    assert_eq!(again.result().await, Value::Null);
    w.worker.shutdown().await.unwrap();
}

/// Counts its drops: the sign that a handler's future is gone.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_cancelled_handler_is_dropped_and_says_so_also_when_it_waits_in_the_queue() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let told = Arc::new(Notify::new());
    let (drops, tell) = (dropped.clone(), told.clone());
    let w = world(|b| {
        b.concurrency(1).function("hang", move |ctx: Context| {
            let (guard, tell) = (Dropped(drops.clone()), tell.clone());
            async move {
                tokio::spawn(async move {
                    ctx.cancelled().await;
                    tell.notify_one();
                });
                let _guard = guard;
                std::future::pending::<()>().await;
            }
        })
    })
    .await;
    let instance = w.worker.instance().clone();
    let subject = w.gateway.call_subject("s", "hang");
    let (first, second) = (call_headers(), call_headers());
    let mut running = w.gateway.send(&subject, &first, json!({})).await;
    eventually("it runs", || w.worker.in_flight() == 1).await;
    let mut queued = w.gateway.send(&subject, &second, json!({})).await;
    eventually("it waits", || w.worker.in_flight() == 2).await;
    let ping = |id: &str| json!({ "call": id }).to_string();
    let pong = w.gateway.ping(&instance, &ping(&second.call_id)).await;
    assert_eq!(pong, json!({"holds": true, "in_flight": 2}));

    w.gateway.control(&instance, cancel(&second)).await;
    let error = queued.error().await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Cancelled, Executed::No)
    );
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    w.gateway.control(&instance, cancel(&first)).await;
    let error = running.error().await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Cancelled, Executed::Unknown)
    );
    assert!(!error.can_retry);
    soon("the handler's task learns it", told.notified()).await;
    eventually("nothing is held", || w.worker.in_flight() == 0).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    let pong = w.gateway.ping(&instance, &ping(&first.call_id)).await;
    assert_eq!(pong, json!({"holds": false, "in_flight": 0}));
    assert_eq!(w.gateway.ping(&instance, "").await["holds"], json!(false));

    // A cancel may overtake its call.
    let third = call_headers();
    w.gateway.control(&instance, cancel(&third)).await;
    w.gateway.ping(&instance, "").await;
    let mut late = w.gateway.send(&subject, &third, json!({})).await;
    let error = late.error().await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Cancelled, Executed::No)
    );
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_never_starts() {
    let gate = Arc::new(Semaphore::new(0));
    let started = Arc::new(AtomicUsize::new(0));
    let (opened, starts) = (gate.clone(), started.clone());
    let w = world(|b| {
        b.concurrency(1).function("wait", move || {
            let (gate, starts) = (opened.clone(), starts.clone());
            async move {
                starts.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
            }
        })
    })
    .await;
    let mut first = w.gateway.call("wait", json!({})).await;
    eventually("it runs", || started.load(Ordering::SeqCst) == 1).await;
    let hasty = CallHeaders {
        deadline_ms: 1,
        ..call_headers()
    };
    let subject = w.gateway.call_subject("s", "wait");
    let mut late = w.gateway.send(&subject, &hasty, json!({})).await;
    eventually("it waits", || w.worker.in_flight() == 2).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    gate.add_permits(2);
    assert_eq!(first.result().await, Value::Null);
    let mut third = w.gateway.call("wait", json!({})).await;
    assert_eq!(third.result().await, Value::Null);
    assert_eq!(
        started.load(Ordering::SeqCst),
        2,
        "the late one did not run"
    );
    // Nothing but beats for the late one.
    let more = tokio::time::timeout(Duration::from_millis(50), late.word()).await;
    assert!(more.is_err(), "{more:?}");
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_overruns_its_deadline_is_ended_by_the_worker_itself() {
    let w = world(|b| b.function("hang", std::future::pending::<()>)).await;
    let hasty = CallHeaders {
        deadline_ms: 200,
        ..call_headers()
    };
    let subject = w.gateway.call_subject("s", "hang");
    let error = w
        .gateway
        .send(&subject, &hasty, json!({}))
        .await
        .error()
        .await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Timeout, Executed::Unknown)
    );
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn bytes_of_a_stranger_are_answered_or_ignored_and_hurt_nobody() {
    let w = world(|b| b.function_with(Function::sync("echo", async |a: Value| a))).await;
    let instance = w.worker.instance().clone();
    let subject = w.gateway.call_subject("s", "echo");
    for body in ["{", "\u{0}", "[1,", "nul"] {
        let mut reply = w.gateway.send_raw(&subject, None, body.into()).await;
        assert_eq!(
            reply.error().await.code,
            ErrorCode::InvalidArguments,
            "{body}"
        );
    }
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Sluice-Protocol", "99");
    let mut reply = w
        .gateway
        .send_raw(&subject, Some(headers), "{}".into())
        .await;
    assert_eq!(reply.error().await.code, ErrorCode::InvalidRequest);
    for body in [
        json!([]),
        json!({"type": "explode"}),
        json!({"type": "cancel"}),
    ] {
        w.gateway.control(&instance, body).await;
    }
    let discover = w.gateway.subjects.discover();
    w.gateway
        .client
        .publish(discover, "garbage".into())
        .await
        .unwrap();
    assert_eq!(
        w.gateway.ping(&instance, "garbage").await["in_flight"],
        json!(0)
    );
    // A call without reply subject has nobody to answer.
    w.gateway
        .client
        .publish(subject, "{}".into())
        .await
        .unwrap();
    let mut good = w.gateway.call("echo", json!({"a": 1})).await;
    assert_eq!(good.result().await, json!({"a": 1}));
    w.worker.shutdown().await.unwrap();
}
