//! The views of a whole cluster: health, cluster, verify.

use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, eventually};

use crate::{ends, json, shop};

#[tokio::test]
async fn gateways_and_workers_see_each_other_and_one_that_is_gone_is_missed() {
    let mut cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .workers(2)
        .await
        .unwrap();
    let told = eventually("both gateways see everybody", || async {
        // Ends with 1 until then.
        let (_, out, _) = crate::sluice(cluster.gateway(0), &["cluster", "--json"]).await;
        let view: serde_json::Value = serde_json::from_str(&out).unwrap_or_default();
        let gateways = view["gateways"].as_array().cloned().unwrap_or_default();
        let all = gateways.len() == 2
            && gateways.iter().all(|g| {
                g["answer"]["gateways"]
                    .as_array()
                    .is_some_and(|o| o.len() == 1)
                    && g["answer"]["services"][0]["instances"]
                        .as_array()
                        .is_some_and(|i| i.len() == 2)
            });
        match all {
            true => Ok(()),
            false => Err(Error::new(view.to_string())),
        }
    });
    told.await.unwrap();
    let table = ends(cluster.gateway(1), 0, "cluster").await;
    assert!(table.contains("2 of 2"), "{table}");
    assert!(table.contains("w0") && table.contains("w1"), "{table}");

    cluster.gateways_mut()[1].process().kill9().unwrap();
    let view = json(cluster.gateway(0), 1, "cluster --json").await;
    let gone = &view["gateways"][1];
    assert!(
        gone["error"].as_str().unwrap().contains("no answer"),
        "{view}"
    );
    // So does every question; a silent gateway is broken.
    ends(cluster.gateway(0), 1, "health --parts").await;
}

#[tokio::test]
async fn health_is_that_of_the_worst_part() {
    let mut cluster = Cluster::start(BrokerKind::Embedded).await.unwrap();
    let health = json(cluster.gateway(0), 0, "health --parts --json").await;
    assert_eq!(health["gateways"][0]["answer"]["status"], "ok", "{health}");
    assert_eq!(ends(cluster.gateway(0), 0, "health").await, "ready\n");

    cluster.workers_mut()[0].process().drain().await.unwrap();
    eventually("the functions have no worker", || async {
        let words = ["health", "--parts", "--json"];
        let (code, out, _) = crate::sluice(cluster.gateway(0), &words).await;
        match code {
            3 => Ok(()),
            _ => Err(Error::new(out)),
        }
    })
    .await
    .unwrap();
    let table = ends(cluster.gateway(0), 3, "health --parts").await;
    assert!(table.contains("no worker serves demo."), "{table}");
}

#[tokio::test]
async fn a_rollout_is_verified_at_every_gateway() {
    let cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .workers(0)
        .await
        .unwrap();
    let worker = shop(&cluster.broker().url(), "s1", false).await;
    let no_args = serde_json::json!({});
    cluster.wait_served("shop", "buy", &no_args).await.unwrap();
    let table = ends(cluster.gateway(0), 0, "verify shop 7").await;
    assert_eq!(table.matches("matched").count(), 2, "{table}");
    let view = json(cluster.gateway(1), 1, "verify shop 8 --json").await;
    assert_eq!(
        view["gateways"][0]["answer"]["result"], "mismatch",
        "{view}"
    );
    assert_eq!(view["gateways"][0]["answer"]["versions"][0], "7", "{view}");
    ends(cluster.gateway(0), 3, "verify nothing 7").await;
    ends(
        cluster.gateway(0),
        2,
        "verify shop 7 --admin http://127.0.0.1:1",
    )
    .await;
    worker.shutdown().await.unwrap();
}
