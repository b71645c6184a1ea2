//! SIGTERM loses nothing.

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::load::Load;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

on_each_broker! {
    async fn a_worker_that_drains_under_load_loses_nothing(kind: BrokerKind) {
        let mut cluster = Cluster::start(kind).workers(2).await.unwrap();
        let load = [("demo", "add"), ("demo", "where_round_robin")].map(|(service, function)| {
            let load = Load::on([cluster.gateway(0).address()], service, function).tasks(4);
            if function == "add" { load.args(|n| json!({"a": n, "b": 1})) } else { load.args(|_| json!({})) }.start()
        });
        for round in 0..3 {
            for load in &load {
                load.wait_ok(100).await.unwrap();
            }
            let worker = cluster.worker_builder(&format!("next-{round}")).start().unwrap();
            worker.process().wait_line("it is ready", |l| l.contains("ready for calls")).await.unwrap();
            cluster.workers_mut().push(worker);
            cluster.workers_mut().remove(0).process().drain().await.unwrap();
        }
        for load in load {
            load.wait_ok(100).await.unwrap();
            let report = load.stop().await;
            report.assert_all_ok();
        }
    }
}

on_each_broker! {
    async fn a_worker_that_drains_finishes_what_it_has(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let args = json!({"to": 30, "delay_ms": 50});
        let mut stream = client.sse("demo", "count", args).await.unwrap().stream().unwrap();
        stream.next().await.unwrap().unwrap();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.call("demo", "sleep", json!({"ms": 1500})).await.unwrap() }
        });
        cluster.worker(0).process().wait_line("the call arrived", |l| l.contains("sleep begins")).await.unwrap();
        cluster.worker(0).process().terminate().unwrap();
        let rest = stream.collect().await.unwrap();
        assert_eq!(rest.len(), 31, "all items and the end");
        assert_eq!(call.await.unwrap().0, 200);
        let status = cluster.worker(0).process().wait_exit().await.unwrap();
        assert!(status.success(), "{status}");
    }
}

on_each_broker! {
    async fn a_gateway_that_drains_under_load_loses_nothing(kind: BrokerKind) {
        let cluster = Cluster::start(kind)
            .gateways(2)
            .gateway(|_, g| g.option("gateway", "drain_delay_ms", 300))
            .await
            .unwrap();
        let targets: Vec<_> = cluster.gateways().iter().map(|g| g.address()).collect();
        let load = Load::on(targets, "demo", "echo").tasks(6).start();
        load.wait_ok(200).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        let call = tokio::spawn(async move {
            client.call("demo", "sleep", json!({"ms": 1500})).await.unwrap()
        });
        cluster.worker(0).process().wait_line("the call arrived", |l| l.contains("sleep begins")).await.unwrap();
        cluster.gateway(0).process().drain().await.unwrap();
        assert_eq!(call.await.unwrap().0, 200, "the call in flight was finished");
        load.wait_ok(100).await.unwrap();
        let report = load.stop().await;
        assert_eq!((report.lost(), report.cut, report.wrong, report.unclear), (0, 0, 0, 0), "{report}");
        assert_eq!(report.failed_total(), 0, "{report}");
    }
}
