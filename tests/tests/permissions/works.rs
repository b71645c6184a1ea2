//! Everything normal, with a user for each service and not one refusal in the server's log.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::Broker;
use sluice_e2e::{Error, eventually};
use tokio::time::timeout;

use crate::{client, gateway, on_each_server, violations, worker};

on_each_server!(everything_normal_works_with_the_shipped_users);

async fn test(broker: &Broker) {
    let first = gateway(broker, "first").start().await.unwrap();
    let _a = worker(broker, "a").start().unwrap();
    let _b = worker(broker, "b").start().unwrap();
    first.wait_ready().await.unwrap();
    for service in ["a", "b"] {
        calls(&first, service).await;
    }
    // A gateway that starts later asks all workers who they are.
    let second = gateway(broker, "second").start().await.unwrap();
    second.wait_ready().await.unwrap();
    calls(&second, "a").await;
    stream(&second).await;
    cancel(broker, &first).await;
    ping(broker).await;
    services(broker).await;
    assert_eq!(violations(broker), 0, "{}", broker.process().log().tail(20));
}

async fn calls(gateway: &Gateway, service: &str) {
    let client = gateway.client().unwrap();
    eventually(&format!("{service} is served"), || async {
        let args = json!({"message": "hi"});
        let (status, answer) = client.call(service, "echo", args).await?;
        if status == 200 && answer.success {
            return Ok(());
        }
        Err(Error::new(format!("{status} {answer:?}")))
    })
    .await
    .unwrap();
    // By instance subject, not by queue group.
    let (status, answer) = client
        .call(service, "where_round_robin", json!({}))
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer:?}");
    assert_eq!(answer.result, json!({"instance": format!("w{service}")}));
}

/// More items than one grant of credit covers, so grants reach the worker.
async fn stream(gateway: &Gateway) {
    let client = gateway.client().unwrap();
    let stream = client.sse("a", "count", json!({"to": 2000})).await.unwrap();
    let events = stream.stream().unwrap().collect().await.unwrap();
    let items = events.iter().filter(|event| event.kind == "item").count();
    assert_eq!(items, 2000);
    assert_eq!(events.last().unwrap().kind, "end");
}

/// A client that goes away: its gateway cancels, and the worker hears that.
async fn cancel(broker: &Broker, gateway: &Gateway) {
    let eyes = client(broker, "eyes").await;
    let mut control = eyes.subscribe("sluice.inst.a.wa.control").await.unwrap();
    eyes.flush().await.unwrap();
    let call = gateway.client().unwrap();
    let args = json!({"to": 1_000_000, "delay_ms": 20});
    let mut stream = call
        .sse("a", "count", args)
        .await
        .unwrap()
        .stream()
        .unwrap();
    while stream.next().await.unwrap().unwrap().kind != "item" {}
    drop(stream);
    let cancelled = async {
        loop {
            let message = control.next().await.unwrap();
            if format!("{message:?}").contains("cancel") {
                return;
            }
        }
    };
    timeout(sluice_e2e::LIMIT, cancelled).await.unwrap();
}

/// The question a gateway asks when a call's holder is silent.
async fn ping(broker: &Broker) {
    let gateway = client(broker, "gateway").await;
    let answer = gateway.request("sluice.inst.a.wa.ping", "".into());
    timeout(sluice_e2e::LIMIT, answer).await.unwrap().unwrap();
}

/// `nats service ls` of an operator.
async fn services(broker: &Broker) {
    let operator = client(broker, "operator").await;
    let inbox = operator.new_inbox();
    let mut answers = operator.subscribe(inbox.clone()).await.unwrap();
    let mut ids = BTreeSet::new();
    operator
        .publish_with_reply("$SRV.PING", inbox, "".into())
        .await
        .unwrap();
    while ids.len() < 2 {
        let limit = Duration::from_secs(30);
        let answer = timeout(limit, answers.next()).await.unwrap().unwrap();
        let pong: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        ids.insert(pong["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, BTreeSet::from(["wa".to_owned(), "wb".to_owned()]));
}
