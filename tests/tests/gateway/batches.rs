//! Items of a stream that travel together arrive as if each had come by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

/// More than the credit of a stream at a time, many times over.
const ITEMS: usize = 10_000;

on_each_broker! {
    async fn a_fast_stream_is_complete_in_few_messages(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let messages = Arc::new(AtomicUsize::new(0));
        let nats = cluster.broker().client().await.unwrap();
        let mut replies = nats.subscribe("_INBOX.sluice.>").await.unwrap();
        // The broker knows the subscription once it says that here nobody listens.
        nats.request("nobody", "".into()).await.unwrap_err();
        let seen = messages.clone();
        let watch = tokio::spawn(async move {
            while let Some(reply) = replies.next().await {
                let kind = reply.headers.as_ref().and_then(|all| all.get("Sluice-Kind"));
                match kind.map(|kind| kind.as_str()) {
                    Some("item" | "items") => seen.fetch_add(1, Ordering::Relaxed),
                    Some("end") => break,
                    _ => 0,
                };
            }
        });
        let client = cluster.gateway(0).client().unwrap();
        let sse = client.sse("demo", "count", json!({"to": ITEMS})).await.unwrap();
        let events = sse.stream().unwrap().collect().await.unwrap();
        assert_eq!(events.len(), ITEMS + 2, "an ack, the items, an end");
        for (n, event) in events[1..=ITEMS].iter().enumerate() {
            assert_eq!(event.envelope().unwrap().result, json!({"n": n + 1}));
        }
        watch.await.unwrap();
        let messages = messages.load(Ordering::Relaxed);
        assert!(messages < ITEMS / 4, "{messages} messages");
    }
}
