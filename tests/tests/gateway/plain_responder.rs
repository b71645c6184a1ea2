//! A function of the gateway's config file, served by a plain NATS responder.

use futures_util::StreamExt;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

on_each_broker! {
    async fn it_is_called_like_any_other(kind: BrokerKind) {
        let function = "[[function]]\nservice = \"legacy\"\nsubject = \"legacy.double\"\n\
                        request_type = \"double\"\ntimeout = 1000\narg_types = { n = \"num\" }\n";
        let cluster =
            Cluster::start(kind).workers(0).gateway(move |_, g| g.toml(function)).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let (status, nobody) = client.call("legacy", "double", json!({"n": 2})).await.unwrap();
        assert_eq!((status, nobody.code()), (503, "no_workers"), "{nobody:?}");

        let nats = cluster.broker().client().await.unwrap();
        let mut calls = nats.subscribe("legacy.double").await.unwrap();
        let responder = tokio::spawn(async move {
            while let Some(message) = calls.next().await {
                let args: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                let body = json!(args["n"].as_f64().unwrap() * 2.0).to_string();
                nats.publish(message.reply.unwrap(), body.into()).await.unwrap();
            }
        });
        sluice_e2e::eventually("the responder is called", || async {
            let (status, envelope) = client.call("legacy", "double", json!({"n": 21})).await?;
            Ok::<_, sluice_e2e::Error>(status == 200 && envelope.result == json!(42.0))
        })
        .await
        .unwrap();
        let (status, invalid) = client.call("legacy", "double", json!({"n": "x"})).await.unwrap();
        assert_eq!((status, invalid.code()), (422, "invalid_arguments"));
        responder.abort();
    }
}
