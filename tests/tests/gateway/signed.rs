//! A closed registry: workers need their service's secret.

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

const SECRET: &str = "a secret of more than sixteen bytes";

on_each_broker! {
    async fn only_workers_with_the_secret_register(kind: BrokerKind) {
        let closed = format!("[registry.secrets]\ndemo = \"{SECRET}\"\n");
        let cluster = Cluster::start(kind)
            .gateway(move |_, g| g.option("registry", "open", false).toml(&closed))
            .worker(|_, w| w.env("SLUICE_SECRET", SECRET))
            .await
            .unwrap();
        let client = cluster.gateway(0).client().unwrap();
        for (instance, secret) in [("forger", Some("another secret, of the same length")), ("stranger", None)] {
            let worker = cluster.worker_builder(instance);
            let worker = match secret {
                Some(secret) => worker.env("SLUICE_SECRET", secret),
                None => worker,
            };
            let worker = worker.start().unwrap();
            // It is told why, and takes no part.
            worker.process().wait_line("the refusal", |l| l.contains("refused")).await.unwrap();
            for _ in 0..20 {
                let (status, answer) =
                    client.call("demo", "where_round_robin", json!({})).await.unwrap();
                assert_eq!((status, &answer.result["instance"]), (200, &json!("w0")), "{answer:?}");
            }
        }
    }
}
