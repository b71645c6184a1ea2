//! Which worker gets a call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::eventually;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

async fn instance(client: &Client, function: &str, key: &str) -> String {
    let args = if key.is_empty() {
        json!({})
    } else {
        json!({ "key": key })
    };
    let (status, envelope) = client.call("demo", function, args).await.unwrap();
    assert_eq!(status, 200, "{envelope:?}");
    envelope.result["instance"].as_str().unwrap().to_owned()
}

async fn counts(client: &Client, function: &str, calls: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        *counts
            .entry(instance(client, function, "").await)
            .or_default() += 1;
    }
    counts
}

/// All three take part: the gateway has heard of each of them.
async fn all_known(client: &Client, function: &str, instances: usize) {
    eventually("every instance is known", || async {
        Ok::<_, sluice_e2e::Error>(counts(client, function, instances * 2).await.len() == instances)
    })
    .await
    .unwrap();
}

async fn owners(client: &Client, function: &str) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for n in 0..60 {
        let key = format!("key-{n}");
        owners.insert(key.clone(), instance(client, function, &key).await);
    }
    owners
}

on_each_broker! {
    async fn modes_spread_and_keep_as_they_promise(kind: BrokerKind) {
        let mut cluster = Cluster::start(kind).workers(3).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        all_known(&client, "where_round_robin", 3).await;

        let exact = counts(&client, "where_round_robin", 30).await;
        assert!(exact.values().all(|n| *n == 10) && exact.len() == 3, "{exact:?}");
        for function in ["where_random", "where_least_loaded"] {
            let spread = counts(&client, function, 100).await;
            assert_eq!(spread.len(), 3, "{function} reaches all: {spread:?}");
        }

        for function in ["where_hash", "where_sticky"] {
            let before = owners(&client, function).await;
            assert_eq!(before, owners(&client, function).await, "{function} keeps its keys");
            assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 3, "{function} spreads");
        }

        // Only the keys of a worker that leaves move.
        let (hash, sticky) =
            (owners(&client, "where_hash").await, owners(&client, "where_sticky").await);
        let leaving = cluster.workers_mut().remove(1);
        leaving.process().drain().await.unwrap();
        for (function, before) in [("where_hash", hash), ("where_sticky", sticky)] {
            let after = owners(&client, function).await;
            for (key, owner) in &before {
                if owner == "w1" {
                    assert_ne!(after[key], "w1", "{function} {key}");
                } else {
                    assert_eq!(&after[key], owner, "{function} {key}");
                }
            }
        }
    }
}

on_each_broker! {
    async fn two_gateways_agree_on_hashed_keys(kind: BrokerKind) {
        let cluster = Cluster::start(kind).gateways(2).workers(3).await.unwrap();
        let clients: Vec<Client> =
            cluster.gateways().iter().map(|g| g.client().unwrap()).collect();
        for client in &clients {
            all_known(client, "where_round_robin", 3).await;
        }
        assert_eq!(
            owners(&clients[0], "where_hash").await,
            owners(&clients[1], "where_hash").await
        );
    }
}
