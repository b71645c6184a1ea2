//! How workers make themselves known, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sluice_protocol::registry::{InstanceState, Message, Parsed, config_hash};
use sluice_protocol::{ServiceName, sign};
use sluice_worker::{Worker, WorkerBuilder, WorkerError};
use support::{Gateway, Heard, NatsServer, soon};

fn builder(server: &NatsServer) -> WorkerBuilder {
    Worker::builder("s")
        .connect(&server.url())
        .function("echo", async |args: Value| args)
}

#[tokio::test]
async fn it_joins_only_once_a_gateway_has_accepted() {
    let server = NatsServer::start();
    let mut gateway = Gateway::refusing(&server).await;
    let worker = builder(&server)
        .config_version("b17")
        .start()
        .await
        .unwrap();

    let heard = gateway.hear().await;
    let Message::Announce {
        instance, config, ..
    } = heard.message
    else {
        panic!("not an announce: {heard:?}");
    };
    assert_eq!(instance.state, InstanceState::Starting);
    assert_eq!(instance.config_hash, config_hash(&config.text));
    assert_eq!(config.config_version.as_deref(), Some("b17"));
    assert_eq!(instance.capacity, sluice_worker::DEFAULT_CONCURRENCY);
    assert_eq!(instance.features, ["beat", "credit", "cancel", "pending"]);
    assert_eq!(instance.encodings, ["json", "msgpack"]);
    let mut refused = gateway.call("echo", json!({})).await;
    let status = refused.message().await.status;
    assert_eq!(status, Some(async_nats::StatusCode::NO_RESPONDERS));

    // The word of a gateway that starts, and takes the config.
    gateway.refuse.store(false, Ordering::SeqCst);
    let question = Message::Discover {
        gateway: "gw2".into(),
    };
    let discover = gateway.subjects.discover();
    let question = question.to_json().into();
    gateway.client.publish(discover, question).await.unwrap();
    let ready = |heard: &Heard| match &heard.message {
        Message::Heartbeat(instance) if instance.state == InstanceState::Ready => Some(()),
        _ => None,
    };
    gateway.hear_until(ready).await;
    // Whoever hears "ready" may call at once.
    let mut reply = gateway.call("echo", json!({"a": 1})).await;
    assert_eq!(reply.result().await, json!({"a": 1}));
    soon("ready", worker.ready()).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_refused_worker_can_be_told_to_stop() {
    let server = NatsServer::start();
    let _gateway = Gateway::refusing(&server).await;
    let worker = builder(&server).exit_on_refused().start().await.unwrap();
    let error = soon("the end", worker.wait()).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Refused(reasons) if reasons.len() == 1));
    assert!(error.to_string().contains("s.f: timeout: too long"));
}

#[tokio::test]
async fn discover_is_answered_with_a_hash_and_pull_with_the_config() {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let worker = builder(&server)
        .service("other", |s| s.function("f", async || 1))
        .start()
        .await
        .unwrap();
    soon("ready", worker.ready()).await;

    let inbox = gateway.client.new_inbox();
    let mut answers = gateway.client.subscribe(inbox.clone()).await.unwrap();
    let question = Message::Discover {
        gateway: "gw2".into(),
    };
    let discover = gateway.subjects.discover();
    let question = question.to_json().into();
    let asked = gateway.client.publish_with_reply(discover, inbox, question);
    asked.await.unwrap();
    let mut services = Vec::new();
    for _ in 0..2 {
        let answer = soon("a heartbeat", answers.next()).await.unwrap();
        let Message::Heartbeat(instance) = Parsed::parse(&answer.payload).unwrap().message else {
            panic!("not a heartbeat");
        };
        assert_eq!(instance.state, InstanceState::Ready);
        assert_eq!(&instance.instance, worker.instance());
        let subject = gateway
            .subjects
            .pull(&instance.service, &instance.config_hash);
        let pull = gateway.client.request(subject, "".into());
        let answer = soon("a config", pull).await.unwrap();
        let Message::Config {
            service, config, ..
        } = Parsed::parse(&answer.payload).unwrap().message
        else {
            panic!("not a config");
        };
        assert_eq!(service, instance.service);
        assert_eq!(config_hash(&config.text), instance.config_hash);
        services.push(service.to_string());
    }
    services.sort();
    assert_eq!(services, ["other", "s"]);
    let subject = gateway.call_subject("other", "f");
    let mut reply = gateway
        .send(&subject, &support::call_headers(), json!({}))
        .await;
    assert_eq!(reply.result().await, json!(1));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_secret_signs_every_registry_message_with_a_growing_counter() {
    let server = NatsServer::start();
    let mut gateway = Gateway::start(&server).await;
    let worker = builder(&server).secret("hush").start().await.unwrap();
    soon("ready", worker.ready()).await;
    worker.shutdown().await.unwrap();

    let service = ServiceName::new("s").unwrap();
    let subject = gateway.subjects.announce(&service, worker.instance());
    let mut counter = 0;
    let mut kinds = Vec::new();
    while kinds.last() != Some(&"leave") {
        let heard = gateway.hear().await;
        let headers = heard.headers.expect("unsigned");
        let get = |name| headers.get(name).unwrap().as_str();
        let (nonce, signature) = (get("Sluice-Nonce"), get("Sluice-Signature"));
        assert_eq!(heard.subject, subject);
        assert!(sign::verify(
            b"hush",
            &subject,
            nonce,
            &heard.body,
            signature
        ));
        let next = sign::nonce_counter(nonce).unwrap();
        assert!(next > counter, "{next} after {counter}");
        counter = next;
        kinds.push(match heard.message {
            Message::Announce { .. } => "announce",
            Message::Heartbeat(instance) if instance.state == InstanceState::Ready => "ready",
            Message::Heartbeat(_) => "draining",
            Message::Leave { .. } => "leave",
            other => panic!("{other:?}"),
        });
    }
    // On a busy machine it says a thing twice.
    kinds.dedup();
    assert_eq!(kinds, ["announce", "ready", "draining", "leave"]);
}

#[tokio::test]
async fn a_signed_config_names_the_pull_subject() {
    let server = NatsServer::start();
    let mut gateway = Gateway::start(&server).await;
    let worker = builder(&server).secret("hush").start().await.unwrap();
    let hash = gateway
        .hear_until(|heard| match &heard.message {
            Message::Announce { instance, .. } => Some(instance.config_hash.clone()),
            _ => None,
        })
        .await;
    let subject = gateway
        .subjects
        .pull(&ServiceName::new("s").unwrap(), &hash);
    let pull = gateway.client.request(subject.clone(), "".into());
    let answer = soon("a config", pull).await.unwrap();
    let headers = answer.headers.expect("unsigned");
    let get = |name| headers.get(name).unwrap().as_str();
    let (nonce, signature) = (get("Sluice-Nonce"), get("Sluice-Signature"));
    assert!(sign::verify(
        b"hush",
        &subject,
        nonce,
        &answer.payload,
        signature
    ));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_broker_may_start_after_the_worker_and_may_come_back() {
    let port = {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap().port()
    };
    let worker = Worker::builder("s")
        .connect(&format!("nats://127.0.0.1:{port}"))
        .function("echo", async |args: Value| args)
        .start()
        .await
        .unwrap();
    let server = NatsServer::start_on(port);
    let mut gateway = Gateway::start(&server).await;
    soon("ready", worker.ready()).await;
    let mut reply = gateway.call("echo", json!({"n": 1})).await;
    assert_eq!(reply.result().await, json!({"n": 1}));

    drop(server);
    let _server = NatsServer::start_on(port);
    while gateway.heard.try_recv().is_ok() {}
    // It speaks at once when the broker is back, and serves.
    let heartbeat = |heard: &Heard| matches!(heard.message, Message::Heartbeat(_)).then_some(());
    gateway.hear_until(heartbeat).await;
    let mut reply = gateway.call("echo", json!({"n": 2})).await;
    assert_eq!(reply.result().await, json!({"n": 2}));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_no_end_and_a_right_one_is_taken() {
    let server = NatsServer::start_with("-1", &["--user", "u", "--pass", "p"]);
    let good = builder(&server)
        .user_password("u", "p")
        .start()
        .await
        .unwrap();
    let bad = builder(&server)
        .user_password("u", "x")
        .start()
        .await
        .unwrap();
    let info = async_nats::ConnectOptions::with_user_and_password("u".into(), "p".into());
    let client = info.connect(server.url()).await.unwrap();
    let ping = async {
        loop {
            let service = ServiceName::new("s").unwrap();
            let subject = sluice_protocol::Subjects::default().ping(&service, good.instance());
            if let Ok(pong) = client.request(subject, "".into()).await {
                return pong;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("a pong", ping).await;
    good.shutdown().await.unwrap();
    soon("the end", bad.shutdown()).await.unwrap();
}
