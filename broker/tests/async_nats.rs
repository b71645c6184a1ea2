//! The broker as `async-nats` sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, RequestErrorKind};
use common::{broker, broker_with, within};
use futures_util::StreamExt;
use sluice_broker::{Auth, Broker, BrokerOptions, RunningBroker};
use tokio::sync::mpsc;

async fn connect(broker: &RunningBroker) -> Client {
    within(async_nats::connect(broker.url())).await.unwrap()
}

/// Connects and reports what happens to the connection.
async fn observed(
    broker: &RunningBroker,
    options: ConnectOptions,
) -> (Client, mpsc::UnboundedReceiver<Event>) {
    let (sender, events) = mpsc::unbounded_channel();
    let options = options.event_callback(move |event| {
        let _ = sender.send(event);
        async {}
    });
    (within(options.connect(broker.url())).await.unwrap(), events)
}

async fn wait_for(events: &mut mpsc::UnboundedReceiver<Event>, wanted: impl Fn(&Event) -> bool) {
    within(async { while !wanted(&events.recv().await.expect("events end")) {} }).await;
}

/// Completes when the broker has acted upon all that the client sent before. (`flush` completes
/// once it is written to the socket.)
async fn settle(client: &Client) {
    let error = within(client.request("nobody.listens", "".into()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
}

/// Answers every request with its own payload.
async fn echo_worker(client: &Client, subject: &'static str, queue: &str) {
    let mut requests = client
        .queue_subscribe(subject, queue.to_owned())
        .await
        .unwrap();
    settle(client).await;
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a request");
            client.publish(reply, request.payload).await.unwrap();
        }
    });
}

#[tokio::test]
async fn requests_with_headers() {
    let broker = broker().await;
    let (worker, caller) = (connect(&broker).await, connect(&broker).await);
    let mut requests = worker.subscribe("greet.*").await.unwrap();
    settle(&worker).await;
    let answering = tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            "Seen",
            request.headers.unwrap().get("Lang").unwrap().as_str(),
        );
        worker
            .publish_with_headers(request.reply.unwrap(), headers, "hello".into())
            .await
            .unwrap();
        settle(&worker).await;
    });
    let mut headers = HeaderMap::new();
    headers.insert("Lang", "en");
    let reply = within(caller.request_with_headers("greet.you", headers, "hi".into()))
        .await
        .unwrap();
    assert_eq!(reply.payload, "hello");
    assert_eq!(reply.headers.unwrap().get("Seen").unwrap().as_str(), "en");
    within(answering).await.unwrap();
}

#[tokio::test]
async fn no_responders_is_said_at_once() {
    let broker = broker().await;
    let client = connect(&broker).await;
    let error = within(client.request("nobody", "".into()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);

    // A worker that came and went leaves nobody.
    let worker = connect(&broker).await;
    let mut subscription = worker.subscribe("nobody").await.unwrap();
    subscription.unsubscribe().await.unwrap();
    settle(&worker).await;
    let error = within(client.request("nobody", "".into()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_at_once_get_their_own_replies() {
    let broker = broker().await;
    let worker = connect(&broker).await;
    for queue in ["q", "q", "q"] {
        echo_worker(&worker, "echo", queue).await;
    }
    let callers = (0..50).map(|caller| {
        let broker = &broker;
        async move {
            let client = connect(broker).await;
            for call in 0..20 {
                let body = format!("{caller}-{call}");
                let reply = client.request("echo", body.clone().into()).await.unwrap();
                assert_eq!(reply.payload, body);
            }
        }
    });
    within(futures_util::future::join_all(callers)).await;
}

#[tokio::test]
async fn a_queue_group_spreads_over_its_members() {
    let broker = broker().await;
    let (sender, mut counted) = mpsc::unbounded_channel();
    for member in 0..4 {
        let client = connect(&broker).await;
        let mut jobs = client.queue_subscribe("job", "q".to_owned()).await.unwrap();
        settle(&client).await;
        let sender = sender.clone();
        tokio::spawn(async move {
            while jobs.next().await.is_some() {
                let _ = sender.send(member);
            }
            drop(client);
        });
    }
    let client = connect(&broker).await;
    for _ in 0..400 {
        client.publish("job", "".into()).await.unwrap();
    }
    settle(&client).await;
    let mut counts = HashMap::<_, usize>::new();
    for _ in 0..400 {
        *counts
            .entry(within(counted.recv()).await.unwrap())
            .or_default() += 1;
    }
    assert_eq!(counts.len(), 4);
    assert!(counts.values().all(|&count| count > 40), "{counts:?}");
}

#[tokio::test]
async fn unsubscribe_after_and_drain() {
    let broker = broker().await;
    let (client, publisher) = (connect(&broker).await, connect(&broker).await);
    let mut limited = client.subscribe("a").await.unwrap();
    limited.unsubscribe_after(3).await.unwrap();
    let mut drained = client.subscribe("a").await.unwrap();
    settle(&client).await;
    for i in 0..10 {
        publisher.publish("a", i.to_string().into()).await.unwrap();
    }
    settle(&publisher).await;
    drained.drain().await.unwrap();
    publisher.publish("a", "late".into()).await.unwrap();

    let payloads = |messages: Vec<async_nats::Message>| -> Vec<String> {
        messages
            .iter()
            .map(|m| String::from_utf8_lossy(&m.payload).into_owned())
            .collect()
    };
    assert_eq!(payloads(within(limited.collect()).await), ["0", "1", "2"]);
    let drained = payloads(within(drained.collect()).await);
    assert_eq!(
        drained[..10],
        (0..10).map(|i| i.to_string()).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_drains_under_load() {
    let broker = broker().await;
    let (client, publisher) = (connect(&broker).await, connect(&broker).await);
    let messages = client.subscribe("a").await.unwrap();
    settle(&client).await;
    for _ in 0..1000 {
        publisher.publish("a", "x".into()).await.unwrap();
    }
    settle(&publisher).await;
    client.drain().await.unwrap();
    assert_eq!(within(messages.count()).await, 1000);
}

#[tokio::test]
async fn the_payload_limit_is_known_to_clients() {
    let broker = broker_with(BrokerOptions {
        max_payload: 1000,
        ..BrokerOptions::default()
    })
    .await;
    let client = connect(&broker).await;
    assert_eq!(client.server_info().max_payload, 1000);
    let mut messages = client.subscribe("a").await.unwrap();
    client.publish("a", vec![b'x'; 1000].into()).await.unwrap();
    assert_eq!(within(messages.next()).await.unwrap().payload.len(), 1000);
    assert!(client.publish("a", vec![b'x'; 1001].into()).await.is_err());
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let auth = Auth::Token("right".into());
    let broker = broker_with(BrokerOptions {
        auth,
        ..BrokerOptions::default()
    })
    .await;
    let connect = |token: &str| ConnectOptions::with_token(token.into()).connect(broker.url());
    within(connect("right"))
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    let error = within(connect("wrong")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        async_nats::ConnectErrorKind::AuthorizationViolation
    );
}

#[tokio::test]
async fn clients_come_back_to_a_restarted_broker() {
    let first = broker().await;
    let addr = first.addr();
    let options = || ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(10));
    let (worker, mut worker_events) = observed(&first, options()).await;
    let (caller, mut caller_events) = observed(&first, options()).await;
    echo_worker(&worker, "echo", "q").await;
    assert_eq!(
        within(caller.request("echo", "1".into()))
            .await
            .unwrap()
            .payload,
        "1"
    );

    within(first.shutdown()).await;
    wait_for(&mut worker_events, |event| {
        matches!(event, Event::Disconnected)
    })
    .await;
    wait_for(&mut caller_events, |event| {
        matches!(event, Event::Disconnected)
    })
    .await;
    let _second = Broker::spawn(addr, BrokerOptions::default()).await.unwrap();
    wait_for(&mut worker_events, |event| {
        matches!(event, Event::Connected)
    })
    .await;
    wait_for(&mut caller_events, |event| {
        matches!(event, Event::Connected)
    })
    .await;
    // The client has sent its subscriptions again before it reports to be connected.
    settle(&worker).await;
    assert_eq!(
        within(caller.request("echo", "2".into()))
            .await
            .unwrap()
            .payload,
        "2"
    );
}

#[tokio::test]
async fn service_discovery_reaches_every_instance() {
    let broker = broker().await;
    let (worker, caller) = (connect(&broker).await, connect(&broker).await);
    for instance in ["1", "2", "3"] {
        let mut pings = worker.subscribe("$SRV.PING").await.unwrap();
        let worker = worker.clone();
        tokio::spawn(async move {
            while let Some(ping) = pings.next().await {
                worker
                    .publish(ping.reply.unwrap(), instance.into())
                    .await
                    .unwrap();
            }
        });
    }
    settle(&worker).await;
    let inbox = caller.new_inbox();
    let answers = caller.subscribe(inbox.clone()).await.unwrap();
    caller
        .publish_with_reply("$SRV.PING", inbox, "".into())
        .await
        .unwrap();
    let mut answers: Vec<_> = within(answers.take(3).map(|answer| answer.payload).collect()).await;
    answers.sort();
    assert_eq!(answers, ["1", "2", "3"]);
}
