//! A worker of a few lines in any language: it lists its changes, and knows nothing of old versions.

use futures_util::StreamExt;
use serde_json::json;
use sluice_protocol::registry::{
    ConfigText, Instance, InstanceState, Message, Parsed, Reason, config_hash,
};
use sluice_protocol::{InstanceId, ServiceName};

use crate::{call, cluster, served};

fn config(code: bool) -> String {
    let change = if code {
        json!({"name": "c", "functions": ["create"], "code": true})
    } else {
        json!({"name": "c", "functions": ["create"],
            "request": [{"op": "rename", "from": "name", "to": "title"}],
            "response": {"reverse": [""]}})
    };
    json!({
        "functions": [{"request_type": "create", "version": "3", "arg_types": {"title": "string"}}],
        "versions": [{"version": "1", "changes": [change],
            "arg_types": {"create": {"name": {"type": "string", "max_bytes": 5}}}}, {"version": "3"}],
    })
    .to_string()
}

fn announce(text: &str) -> Vec<u8> {
    Message::Announce {
        instance: Instance {
            service: ServiceName::new("devices").unwrap(),
            instance: InstanceId::new("plain").unwrap(),
            config_hash: config_hash(text),
            state: InstanceState::Ready,
            features: Vec::new(),
            encodings: vec!["json".to_owned()],
            in_flight: 0,
            capacity: 0,
        },
        config: ConfigText {
            config_version: None,
            text: text.to_owned(),
        },
        force: false,
    }
    .to_json()
}

#[tokio::test]
async fn a_worker_in_any_language_is_translated_by_what_it_lists() {
    let cluster = cluster(|g| g).await;
    let nats = cluster.broker().client().await.unwrap();
    let mut calls = nats
        .queue_subscribe("sluice.call.devices.3.create", "q".to_owned())
        .await
        .unwrap();
    let answering = nats.clone();
    tokio::spawn(async move {
        while let Some(message) = calls.next().await {
            // It answers what it got.
            let _ = answering
                .publish(message.reply.unwrap(), message.payload)
                .await;
        }
    });
    let subject = "sluice.registry.announce.devices.plain";
    let text = config(false);
    let answer = nats.request(subject, announce(&text).into()).await.unwrap();
    let answer = Parsed::parse(&answer.payload).unwrap().message;
    assert!(matches!(answer, Message::Accepted { .. }), "{answer:?}");

    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    let (_, done) = call(&client, "1", "create", json!({"name": "pump"})).await;
    assert_eq!(done.result, json!({"name": "pump"}), "{done:?}");
    // What version 1 declared is checked before anything is translated.
    let (status, refused) = call(&client, "1", "create", json!({"name": "longer"})).await;
    assert_eq!((status, refused.code()), (422, "invalid_arguments"));
    assert!(refused.error.contains("devices.create@1"), "{refused:?}");
    let (status, _) = call(&client, "1", "create", json!({"title": "pump"})).await;
    assert_eq!(status, 422);
}

/// Why the gateway does not take a config.
async fn refused(text: &str) -> Vec<Reason> {
    let cluster = cluster(|g| g).await;
    let nats = cluster.broker().client().await.unwrap();
    cluster.gateway(0).wait_ready().await.unwrap();
    let subject = "sluice.registry.announce.devices.plain";
    let answer = nats.request(subject, announce(text).into()).await.unwrap();
    let Message::Refused { reasons, .. } = Parsed::parse(&answer.payload).unwrap().message else {
        panic!("{answer:?}");
    };
    assert!(cluster.gateway(0).is_ready().await, "it is still there");
    reasons
}

#[tokio::test]
async fn changes_in_code_are_refused_of_workers_that_cannot_run_them() {
    let reasons = refused(&config(true)).await;
    assert_eq!(reasons[0].field, "features", "{reasons:?}");
    assert!(reasons[0].message.contains("pending"), "{reasons:?}");
}

/// 30,000 wraps around one arg: nobody could print what comes of it.
#[tokio::test]
async fn changes_that_nest_without_bound_are_refused() {
    let wraps = vec![json!({"op": "wrap", "path": "/a"}); 100];
    let change = json!({"name": "c", "functions": ["create"], "request": wraps});
    let text = json!({
        "functions": [{"request_type": "create", "version": "3"}],
        "versions": [{"version": "1", "changes": vec![change; 300]}, {"version": "3"}],
    });
    let reasons = refused(&text.to_string()).await;
    assert_eq!(reasons[0].field, "versions/0/changes/0", "{reasons:?}");
    assert!(
        reasons[0].message.contains("100 levels deeper"),
        "{reasons:?}"
    );
}
