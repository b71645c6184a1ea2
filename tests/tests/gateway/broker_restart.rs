//! The broker restarts under load: clear answers meanwhile, and all recovers by itself.

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::load::Load;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

on_each_broker! {
    async fn every_call_is_answered_and_all_comes_back(kind: BrokerKind) {
        let mut cluster = Cluster::start(kind).gateways(2).workers(2).await.unwrap();
        let targets: Vec<_> = cluster.gateways().iter().map(|g| g.address()).collect();
        let load = Load::on(targets, "demo", "echo").tasks(6).start();
        load.wait_ok(200).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let args = json!({"to": 100_000, "delay_ms": 20});
        let stream = client.sse("demo", "count", args).await.unwrap().stream().unwrap();
        cluster.broker_mut().restart().await.unwrap();
        let events = stream.collect().await.unwrap();
        assert_eq!(events.last().unwrap().envelope().unwrap().code(), "stream_lost");
        cluster.wait_served("demo", "echo", &json!({"message": "x"})).await.unwrap();
        load.wait_ok(200).await.unwrap();
        let report = load.stop().await;
        report.assert_all_answered();
    }
}
