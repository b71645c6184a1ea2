//! It does not matter who starts first.

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::worker::Worker;

use crate::on_each_broker;

on_each_broker! {
    async fn the_broker_may_come_last(kind: BrokerKind) {
        let mut broker = Broker::start(kind).await.unwrap();
        let url = broker.url();
        broker.stop().await.unwrap();
        let worker = Worker::builder(&url).instance("w0").start().unwrap();
        let gateway = Gateway::builder(&url).start().await.unwrap();
        let client = gateway.client().unwrap();
        assert!(!gateway.is_ready().await);
        assert_eq!(client.status_of("/health/live").await.unwrap(), 200);
        let (status, refused) = client.call("demo", "echo", json!({"message": "x"})).await.unwrap();
        assert!(!refused.success && status >= 404, "{status} {refused:?}");
        broker.restart().await.unwrap();
        gateway.wait_ready().await.unwrap();
        sluice_e2e::eventually("the worker is served", || async {
            Ok::<_, sluice_e2e::Error>(client.call("demo", "echo", json!({"message": "x"})).await?.0 == 200)
        })
        .await
        .unwrap();
        drop(worker);
    }
}

on_each_broker! {
    async fn a_gateway_that_starts_later_discovers_the_workers(kind: BrokerKind) {
        let mut cluster = Cluster::start(kind).workers(2).await.unwrap();
        let late = cluster.gateway_builder(1).start().await.unwrap();
        late.wait_ready().await.unwrap();
        cluster.gateways_mut().push(late);
        cluster.wait_served("demo", "echo", &json!({"message": "x"})).await.unwrap();
        // A restart finds them again too.
        cluster.gateways_mut()[0].restart().await.unwrap();
        cluster.wait_served("demo", "echo", &json!({"message": "x"})).await.unwrap();
    }
}
