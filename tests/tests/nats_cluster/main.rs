//! A NATS cluster of three: each node in turn is killed under load. Nothing hangs, each call has one clear
//! answer, and gateways and workers come back by themselves on the nodes that are left.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

use std::time::Duration;

use serde_json::json;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::load::Load;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::ports::Port;
use sluice_e2e::worker::{Worker, wait_joined};

const NODES: usize = 3;
const WORKERS: usize = 3;

/// Nodes that know each other's routes.
async fn cluster(kind: BrokerKind) -> Vec<Broker> {
    let routes: Vec<Port> = (0..NODES).map(|_| Port::lease().unwrap()).collect();
    let all: Vec<String> = routes
        .iter()
        .map(|port| format!("\"nats-route://{}\"", port.address()))
        .collect();
    let mut nodes = Vec::new();
    for (i, port) in routes.iter().enumerate() {
        let config = format!(
            "server_name: n{i}\ncluster {{ name: c, listen: \"{}\", routes: [{}] }}\n",
            port.address(),
            all.join(", "),
        );
        nodes.push(Broker::start_with(kind, &config).await.unwrap());
    }
    nodes
}

/// Each node reaches each worker: routes and subscriptions are known everywhere.
async fn is_whole(nodes: &[Broker]) {
    for node in nodes {
        wait_joined(&node.client().await.unwrap(), WORKERS)
            .await
            .unwrap();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "what became of the calls is of interest"
)]
async fn any_node_may_die(kind: BrokerKind) {
    if !kind.is_available() {
        return;
    }
    let mut nodes = cluster(kind).await;
    let urls = |skip: usize| {
        let mut urls: Vec<String> = nodes.iter().map(Broker::url).collect();
        // Each begins elsewhere; clients learn of all nodes in any case.
        urls.rotate_left(skip);
        urls.join(",")
    };
    let mut gateways = Vec::new();
    for i in 0..2 {
        gateways.push(Gateway::builder(urls(i)).start().await.unwrap());
    }
    let workers: Vec<Worker> = (0..WORKERS)
        .map(|i| {
            Worker::builder(urls(i))
                .instance(&format!("w{i}"))
                .start()
                .unwrap()
        })
        .collect();
    for gateway in &gateways {
        gateway.wait_ready().await.unwrap();
    }
    is_whole(&nodes).await;

    let load = Load::on(gateways.iter().map(Gateway::address), "demo", "add")
        .args(|n| json!({"a": n, "b": 1}))
        .check(|args, result| result["sum"] == json!(args["a"].as_u64().unwrap() + 1))
        .max_time(Duration::from_secs(280))
        .start();
    load.wait_ok(200).await.unwrap();
    for i in 0..NODES {
        nodes[i].process().kill9().unwrap();
        load.wait_ok(200).await.unwrap();
        // By each gateway and each worker, also those that were on that node.
        for gateway in &gateways {
            reaches_all(gateway).await;
        }
        nodes[i].restart().await.unwrap();
        is_whole(&nodes).await;
    }
    let report = load.stop().await;
    report.assert_all_answered();
    let told = ["broker_unavailable", "worker_lost", "no_workers", "timeout"];
    for code in report.failed.keys() {
        assert!(told.contains(&code.as_str()), "{report}");
    }
    eprintln!("{kind}: {report}");
    drop(workers);
}

/// Calls of a strict turn through this gateway: all workers are reached.
async fn reaches_all(gateway: &Gateway) {
    let client = gateway.client().unwrap();
    sluice_e2e::eventually("every worker is reached", || async {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 * WORKERS {
            let (_, answer) = client.call("demo", "where_round_robin", json!({})).await?;
            seen.insert(answer.result["instance"].to_string());
        }
        Ok::<_, sluice_e2e::Error>(seen.len() == WORKERS && !seen.contains("null"))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn any_node_of_nats_2_9_may_die() {
    any_node_may_die(BrokerKind::NatsOld).await;
}

#[tokio::test]
async fn any_node_of_a_current_nats_may_die() {
    any_node_may_die(BrokerKind::NatsCurrent).await;
}
