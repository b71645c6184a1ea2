//! Workers that die: fail over, or a clear error within two seconds.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::load::Load;
use sluice_e2e::nats::BrokerKind;
use tokio::time::Instant;

use crate::on_each_broker;

/// The promise is two seconds; the rest is for a machine that runs other tests beside this one.
const SOON: Duration = Duration::from_secs(10);

on_each_broker! {
    async fn kill_9_mid_call_is_a_clear_error(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.call("demo", "sleep", json!({"ms": 4000})).await.unwrap() }
        });
        // Held for sure: the worker says so in its heartbeat only later, so ask the worker's log.
        cluster.worker(0).process().wait_line("the call arrived", |l| l.contains("sleep begins")).await.unwrap();
        let killed = Instant::now();
        cluster.worker(0).process().kill9().unwrap();
        let (status, envelope) = call.await.unwrap();
        assert_eq!((status, envelope.code()), (502, "worker_lost"), "{envelope:?}");
        assert_eq!(envelope.details.unwrap()["executed"], "unknown");
        assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
        let (status, envelope) = client.call("demo", "echo", json!({"message": "x"})).await.unwrap();
        assert_eq!((status, envelope.code()), (503, "no_workers"));
    }
}

on_each_broker! {
    async fn kill_9_mid_stream_is_a_clear_error(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let args = json!({"to": 100_000, "delay_ms": 50});
        let mut stream = client.sse("demo", "count", args).await.unwrap().stream().unwrap();
        for _ in 0..4 {
            stream.next().await.unwrap().unwrap();
        }
        let killed = Instant::now();
        cluster.worker(0).process().kill9().unwrap();
        let last = loop {
            let event = stream.next().await.unwrap().expect("an error before the end");
            if event.envelope().unwrap().is_final() {
                break event.envelope().unwrap();
            }
        };
        assert_eq!(last.code(), "stream_lost", "{last:?}");
        assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    }
}

on_each_broker! {
    async fn under_load_every_call_has_one_answer(kind: BrokerKind) {
        let cluster = Cluster::start(kind).gateways(2).workers(3).await.unwrap();
        let targets: Vec<_> = cluster.gateways().iter().map(|g| g.address()).collect();
        // Idempotent, so calls of the dead worker fail over.
        let load = Load::on(targets, "demo", "echo").tasks(8).start();
        load.wait_ok(200).await.unwrap();
        cluster.worker(1).process().kill9().unwrap();
        load.wait_ok(500).await.unwrap();
        let report = load.stop().await;
        report.assert_all_answered();
        assert_eq!(report.failed_total(), 0, "idempotent calls fail over: {report}");
    }
}

on_each_broker! {
    async fn a_frozen_worker_is_given_up_and_comes_back(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        cluster.worker(0).process().freeze().await.unwrap();
        let (status, envelope) = client.call("demo", "log", json!({"message": "x"})).await.unwrap();
        assert!(!envelope.success && (502..=504).contains(&status), "{status} {envelope:?}");
        cluster.worker(0).process().thaw().unwrap();
        cluster.wait_served("demo", "echo", &json!({"message": "x"})).await.unwrap();
    }
}
