//! A worker that breaks the protocol harms its own calls and nobody else's.

use std::time::Duration;

use async_nats::{Client as Nats, HeaderMap, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::eventually;
use sluice_e2e::nats::BrokerKind;
use sluice_protocol::registry::{
    ConfigText, Instance, InstanceState, Message as Registry, config_hash,
};
use sluice_protocol::{InstanceId, ServiceName, Subjects};

use crate::on_each_broker;

/// A worker written by hand: registers service `evil` with functions of each kind.
struct Evil {
    nats: Nats,
    calls: futures_util::stream::Select<async_nats::Subscriber, async_nats::Subscriber>,
}

impl Evil {
    async fn join(nats: Nats) -> Self {
        let config = json!({"functions": [
            {"request_type": "sync", "timeout": 1500},
            {"request_type": "stream", "response_type": "stream", "timeout": 1500},
        ]})
        .to_string();
        let service = ServiceName::new("evil").unwrap();
        let id = InstanceId::new("evil-1").unwrap();
        let subjects = Subjects::default();
        // A gateway that doubts an instance addresses it by name.
        let calls = futures_util::stream::select(
            nats.subscribe("sluice.call.evil.=.*").await.unwrap(),
            nats.subscribe("sluice.inst.evil.evil-1.=.*").await.unwrap(),
        );
        let mut instance = Instance {
            service: service.clone(),
            instance: id.clone(),
            config_hash: config_hash(&config),
            state: InstanceState::Starting,
            features: Vec::new(),
            encodings: vec!["json".to_owned()],
            in_flight: 0,
            capacity: 0,
        };
        let announce = subjects.announce(&service, &id);
        let text = ConfigText {
            config_version: None,
            text: config,
        };
        let message = Registry::Announce {
            instance: instance.clone(),
            config: text,
            force: false,
        };
        let answer = eventually("the gateway takes the config", || async {
            let answer = nats
                .request(announce.clone(), message.to_json().into())
                .await;
            Ok::<_, sluice_e2e::Error>(answer.ok())
        });
        let answer: Value = serde_json::from_slice(&answer.await.unwrap().payload).unwrap();
        assert_eq!(answer["type"], "accepted", "{answer}");
        instance.state = InstanceState::Ready;
        nats.publish(announce, Registry::Heartbeat(instance).to_json().into())
            .await
            .unwrap();
        Self { nats, calls }
    }

    async fn next(&mut self) -> Message {
        self.calls.next().await.unwrap()
    }

    async fn reply(&self, to: &Message, headers: &[(&'static str, &str)], body: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let reply = to.reply.clone().unwrap();
        self.nats
            .publish_with_headers(reply, map, body.to_owned().into())
            .await
            .unwrap();
    }
}

on_each_broker! {
    async fn each_breach_is_a_clear_error(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let mut evil = Evil::join(cluster.broker().client().await.unwrap()).await;
        eventually("evil is served", || async {
            Ok::<_, sluice_e2e::Error>(client.call("evil", "nope", json!({})).await?.1.code() == "unknown_function"
                && client.call("evil", "sync", json!({})).await?.1.code() == "timeout")
        })
        .await
        .unwrap();
        while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(100), evil.calls.next()).await {}

        type Headers<'a> = &'a [(&'static str, &'a str)];
        let breaches: [(Headers<'_>, &str, &str); 7] = [
            (&[], "{\"a\":", "worker_error"),
            (&[], "", "worker_error"),
            (&[("Sluice-Kind", "item"), ("Sluice-Seq", "1")], "1", "worker_error"),
            (&[("Sluice-Kind", "nonsense")], "1", "worker_error"),
            (&[("Sluice-Kind", "beat"), ("Sluice-Seq", "x")], "1", "worker_error"),
            (&[("Sluice-Kind", "error"), ("Sluice-Error", "rate_limited")], "", "rate_limited"),
            (&[("Content-Type", "text/html")], "<p>", "worker_error"),
        ];
        for (headers, body, code) in breaches {
            let call = tokio::spawn({
                let client = client.clone();
                async move { client.call("evil", "sync", json!({})).await.unwrap() }
            });
            let message = evil.next().await;
            evil.reply(&message, headers, body).await;
            // Late and duplicate replies, to the same subject and to a forged one.
            evil.reply(&message, &[], "\"late\"").await;
            let (status, envelope) = call.await.unwrap();
            assert_eq!((status, envelope.code()), (500, code), "{envelope:?}");
            let (_, echo) = client.call("demo", "echo", json!({"message": "mine"})).await.unwrap();
            assert_eq!(echo.result, json!({"message": "mine"}), "nobody else's call is touched");
        }
    }
}

on_each_broker! {
    async fn streams_out_of_order_or_without_end_are_cut(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let mut evil = Evil::join(cluster.broker().client().await.unwrap()).await;
        eventually("evil is served", || async {
            Ok::<_, sluice_e2e::Error>(client.call("evil", "sync", json!({})).await?.1.code() == "timeout")
        })
        .await
        .unwrap();
        let accepted = [("Sluice-Kind", "accepted"), ("Sluice-Instance", "evil-1")];
        // Kind, number and body of what follows item 1, and the code that the stream must end with.
        // More than a gateway's window.
        let many = "\0\0\0\u{1}2".repeat(2000);
        let rows = [
            (Some(("item", "7", "2")), "stream_lost"),
            (Some(("end", "9", "")), "stream_lost"),
            (Some(("items", "3", "\0\0\0\u{1}2")), "stream_lost"),
            (Some(("items", "2", "\0\0\0\u{9}2")), "worker_error"),
            (Some(("items", "2", "")), "worker_error"),
            (Some(("items", "2", "\0\0\0\u{1}}")), "worker_error"),
            (Some(("items", "18446744073709551615", "\0\0\0\u{1}2")), "worker_error"),
            (Some(("items", "2", &many)), "worker_error"),
            (None, "stream_lost timeout"),
        ];
        for (then, codes) in rows {
            while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(100), evil.calls.next()).await {}
            let call = tokio::spawn({
                let client = client.clone();
                async move { client.sse("evil", "stream", json!({})).await.unwrap() }
            });
            let message = evil.next().await;
            evil.reply(&message, &accepted, "").await;
            evil.reply(&message, &[("Sluice-Kind", "item"), ("Sluice-Seq", "1")], "1").await;
            if let Some((kind, seq, body)) = then {
                evil.reply(&message, &[("Sluice-Kind", kind), ("Sluice-Seq", seq)], body).await;
            }
            let events = call.await.unwrap().stream().unwrap().collect().await.unwrap();
            let last = events.last().unwrap().envelope().unwrap();
            assert!(codes.split(' ').any(|c| c == last.code()), "{last:?}");
        }
    }
}
