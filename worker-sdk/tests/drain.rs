//! Stopping loses nothing, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sluice_broker::{Broker, BrokerOptions};
use sluice_protocol::registry::{InstanceState, Message};
use sluice_protocol::{ErrorCode, Executed};
use sluice_worker::{Function, Worker, WorkerBuilder};
use support::{Gateway, NatsServer, Wire, call_headers, eventually, soon};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

async fn start(builder: WorkerBuilder, server: &NatsServer) -> Worker {
    let worker = builder.connect(&server.url()).start().await.unwrap();
    soon("ready", worker.ready()).await;
    worker
}

/// Under a flood by queue group and by instance, one worker of two stops: every call that the
/// broker delivered to it is answered, with the right result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_drains_under_load_loses_no_call() {
    const CALLS: usize = 6000;
    let server = NatsServer::start();
    let gateway = Arc::new(Gateway::start(&server).await);
    let builder = || {
        Worker::builder("s")
            .queue(10_000)
            .function("echo", async |args: Value| {
                tokio::task::yield_now().await;
                args
            })
    };
    let leaver = start(builder(), &server).await;
    let stayer = start(builder(), &server).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let flood = async {
        let mut calls = JoinSet::new();
        for n in 0..CALLS {
            let (gateway, answered) = (gateway.clone(), answered.clone());
            calls.spawn(async move {
                let subject = gateway.call_subject("s", "echo");
                let args = json!({ "n": n });
                let mut replies = gateway.send(&subject, &call_headers(), args).await;
                assert_eq!(replies.result().await, json!({ "n": n }));
                answered.fetch_add(1, Ordering::SeqCst);
            });
            // The flood is wide, and goes on while the worker leaves.
            while calls.len() > 500 {
                calls.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
    };
    let leave = async {
        eventually("the flood is on", || {
            answered.load(Ordering::SeqCst) > CALLS / 10 && leaver.in_flight() > 0
        })
        .await;
        leaver.shutdown().await.unwrap();
        answered.load(Ordering::SeqCst)
    };
    let (left_at, ()) = soon("all answers", async { tokio::join!(leave, flood) }).await;
    assert_eq!(answered.load(Ordering::SeqCst), CALLS);
    assert!(left_at < CALLS, "it left in the middle of the flood");
    stayer.shutdown().await.unwrap();
}

/// The moment that loses calls elsewhere: the broker has delivered calls, the worker leaves, and
/// only then do they arrive.
async fn calls_on_their_way_are_served(port: u16) {
    const CALLS: usize = 200;
    let mut gateway = Gateway::at(&format!("nats://127.0.0.1:{port}")).await;
    let wire = Wire::to(port).await;
    let builder = Worker::builder("s").function("echo", async |args: Value| args);
    let worker = builder.connect(&wire.url()).start().await.unwrap();
    soon("ready", worker.ready()).await;
    wire.hold();
    let mut calls = Vec::new();
    for n in 0..CALLS {
        calls.push(gateway.call("echo", json!(n)).await);
    }
    gateway.settle().await;
    worker.stop();
    let left = |m: &support::Heard| matches!(m.message, Message::Leave { .. }).then_some(());
    gateway.hear_until(left).await;
    // The broker has heard that the group is left, and delivers nothing more to it.
    soon("no responders", async {
        loop {
            let mut probe = gateway.call("echo", json!("probe")).await;
            let answer = tokio::time::timeout(Duration::from_millis(50), probe.0.next());
            if let Ok(Some(refused)) = answer.await {
                return assert!(refused.status.is_some());
            }
        }
    })
    .await;
    wire.trickle();
    for (n, replies) in calls.iter_mut().enumerate() {
        assert_eq!(replies.result().await, json!(n));
    }
    soon("the end", worker.wait()).await.unwrap();
}

#[tokio::test]
async fn calls_that_were_on_their_way_when_it_left_are_served() {
    let server = NatsServer::start();
    calls_on_their_way_are_served(server.port).await;
}

#[tokio::test]
async fn calls_that_were_on_their_way_are_served_on_the_embedded_broker_too() {
    let address = ([127, 0, 0, 1], 0).into();
    let broker = Broker::spawn(address, BrokerOptions::default())
        .await
        .unwrap();
    let port = broker.url().rsplit(':').next().unwrap().parse().unwrap();
    calls_on_their_way_are_served(port).await;
    broker.shutdown().await;
}

#[tokio::test]
async fn it_says_so_first_and_finishes_what_it_has() {
    let server = NatsServer::start();
    let mut gateway = Gateway::start(&server).await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let builder = Worker::builder("s")
        .concurrency(1)
        .function("wait", move || {
            let gate = opened.clone();
            async move { gate.acquire().await.unwrap().forget() }
        });
    let worker = start(builder, &server).await;
    let instance = worker.instance().clone();
    let mut running = gateway.call("wait", json!({})).await;
    let mut queued = gateway.call("wait", json!({})).await;
    eventually("both are held", || worker.in_flight() == 2).await;
    worker.stop();
    let state = gateway
        .hear_until(|heard| match &heard.message {
            Message::Heartbeat(i) if i.state == InstanceState::Draining => Some(i.in_flight),
            _ => None,
        })
        .await;
    assert_eq!(state, 2);
    let left = |m: &support::Heard| matches!(m.message, Message::Leave { .. }).then_some(());
    gateway.hear_until(left).await;
    // The queue group is left; its own subject is still heard.
    soon("no responders", async {
        while gateway
            .call("wait", json!({}))
            .await
            .message()
            .await
            .status
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let subject = gateway.instance_subject(&instance, "s", "wait");
    let mut late = gateway.send(&subject, &call_headers(), json!({})).await;
    let pong = gateway.ping(&instance, "").await;
    assert!(pong["in_flight"].as_u64().unwrap() >= 3, "{pong}");
    gate.add_permits(100);
    for replies in [&mut running, &mut queued, &mut late] {
        assert_eq!(replies.result().await, Value::Null);
    }
    soon("the end", worker.wait()).await.unwrap();
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_timeout_is_cut_and_told() {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let builder = Worker::builder("s")
        .drain_timeout(Duration::from_millis(100))
        .function("hang", std::future::pending::<()>)
        .function_with(Function::sync("again", std::future::pending::<()>).idempotent());
    let worker = start(builder, &server).await;
    let mut hang = gateway.call("hang", json!({})).await;
    let mut again = gateway.call("again", json!({})).await;
    eventually("both are held", || worker.in_flight() == 2).await;
    soon("the end", worker.shutdown()).await.unwrap();
    let error = hang.error().await;
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Cancelled, Executed::Unknown)
    );
    assert!(!error.can_retry);
    assert!(again.error().await.can_retry);
}

#[tokio::test]
async fn it_ends_also_while_the_broker_is_away() {
    let server = NatsServer::start();
    let _gateway = Gateway::start(&server).await;
    let builder = Worker::builder("s").function("f", async || 1);
    let worker = start(builder, &server).await;
    drop(server);
    soon("the end", worker.shutdown()).await.unwrap();
}
