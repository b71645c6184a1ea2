//! NATS' own service discovery (ADR-32), against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sluice_worker::{Error, Function, Worker};
use support::{Gateway, NatsServer, call_headers, soon};

#[tokio::test]
async fn workers_are_listed_described_and_measured() {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let worker = Worker::builder("my.service")
        .connect(&server.url())
        .function_with(Function::sync("good", async || 1).version("1.2.0"))
        .function_with(Function::sync("good", async || 2).version("1.10.0"))
        .function("bad", async || Err::<(), _>(Error::new("no", "never")))
        .start()
        .await
        .unwrap();
    soon("ready", worker.ready()).await;
    let ask = async |subject: String| -> Value {
        let answer = soon("an answer", gateway.client.request(subject, "".into())).await;
        serde_json::from_slice(&answer.unwrap().payload).unwrap()
    };
    let id = worker.instance().as_str().replace('.', "-");
    for subject in [
        "$SRV.PING".to_owned(),
        "$SRV.PING.my-service".to_owned(),
        format!("$SRV.PING.my-service.{id}"),
    ] {
        let pong = ask(subject).await;
        assert_eq!(pong["type"], "io.nats.micro.v1.ping_response");
        assert_eq!(
            (&pong["name"], &pong["id"], &pong["version"]),
            (&json!("my-service"), &json!(id), &json!("1.10.0"))
        );
        assert_eq!(pong["metadata"]["sluice.service"], "my.service");
    }
    let info = ask(format!("$SRV.INFO.my-service.{id}")).await;
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    let names: Vec<&Value> = info["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| &endpoint["name"])
        .collect();
    assert_eq!(names, ["good-1-2-0", "good-1-10-0", "bad"]);
    assert_eq!(
        info["endpoints"][0]["subject"],
        "sluice.call.my_service.1_2_0.good"
    );
    assert_eq!(info["endpoints"][0]["queue_group"], "q");

    // What the endpoints say is where they listen.
    let subject = info["endpoints"][1]["subject"].as_str().unwrap();
    let mut reply = gateway.send_raw(subject, None, "".into()).await;
    assert_eq!(reply.result().await, json!(2));
    let subject = info["endpoints"][2]["subject"].as_str().unwrap();
    for _ in 0..2 {
        let mut reply = gateway.send(subject, &call_headers(), json!({})).await;
        assert_eq!(reply.error().await.code_text(), "no");
    }
    support::eventually("all done", || worker.in_flight() == 0).await;
    let stats = ask("$SRV.STATS.my-service".to_owned()).await;
    assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
    assert!(stats["started"].as_str().unwrap().ends_with('Z'));
    let numbers = |n: usize, key: &str| stats["endpoints"][n][key].as_u64().unwrap();
    assert_eq!(
        (numbers(1, "num_requests"), numbers(1, "num_errors")),
        (1, 0)
    );
    assert_eq!(
        (numbers(2, "num_requests"), numbers(2, "num_errors")),
        (2, 2)
    );
    assert_eq!(stats["endpoints"][2]["last_error"], "no: never");
    assert_eq!(
        numbers(2, "average_processing_time"),
        numbers(2, "processing_time") / 2
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_service_of_a_process_answers_for_itself() {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let worker = Worker::builder("one")
        .connect(&server.url())
        .function("f", async || 1)
        .service("two", |s| s.function("f", async || 2))
        .start()
        .await
        .unwrap();
    soon("ready", worker.ready()).await;
    let inbox = gateway.client.new_inbox();
    let mut answers = gateway.client.subscribe(inbox.clone()).await.unwrap();
    let asked = gateway
        .client
        .publish_with_reply("$SRV.PING", inbox, "".into());
    asked.await.unwrap();
    let mut names = Vec::new();
    for _ in 0..2 {
        let answer = soon("an answer", answers.next()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        names.push(answer["name"].as_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["one", "two"]);
    worker.shutdown().await.unwrap();
}
