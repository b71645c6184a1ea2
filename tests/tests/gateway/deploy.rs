//! A rolling deploy from one config to another, under load.

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::load::Load;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

on_each_broker! {
    async fn from_one_config_to_another_loses_nothing(kind: BrokerKind) {
        let mut cluster = Cluster::start(kind).workers(2).await.unwrap();
        let loads = ["echo", "where_round_robin"].map(|function| {
            let load = Load::on([cluster.gateway(0).address()], "demo", function).tasks(3);
            if function == "echo" { load } else { load.args(|_| json!({})) }.start()
        });
        for load in &loads {
            load.wait_ok(50).await.unwrap();
        }
        // The new build serves version 1.1.0 beside what it served; one at a time.
        for n in 0..2 {
            let next = cluster.worker_builder(&format!("new-{n}")).version("1.1.0").start().unwrap();
            next.process().wait_line("it is ready", |l| l.contains("ready for calls")).await.unwrap();
            cluster.workers_mut().push(next);
            let old = cluster.workers_mut().remove(0);
            old.process().drain().await.unwrap();
            for load in &loads {
                load.wait_ok(50).await.unwrap();
            }
        }
        for load in loads {
            load.stop().await.assert_all_ok();
        }
        let client = cluster.gateway(0).client().unwrap();
        let whole = json!({
            "service": "demo", "request_type": "echo", "version": "1.1.0", "args": {"message": "x"},
        });
        assert_eq!(client.call_whole(&whole).await.unwrap().0, 200);
    }
}
