//! A collector that is not there, or does not answer, costs spans and nothing else.

use std::net::Ipv4Addr;

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::ports::Port;
use sluice_e2e::{Error, Result, eventually};
use tokio::net::TcpListener;

use crate::cluster;

/// One gateway that traces everything and keeps few spans.
async fn traced(endpoint: &str) -> Cluster {
    let url = endpoint.to_owned();
    cluster(endpoint)
        .gateway(move |_, gateway| {
            gateway
                .option("telemetry", "otlp_endpoint", url.clone())
                .option("telemetry", "export_delay_ms", 50)
                .option("telemetry", "sample_ratio", 1)
                .option("telemetry", "queue", 512)
                .option("gateway", "drain_delay_ms", 0)
        })
        .await
        .unwrap()
}

/// More calls than the queue takes spans, and each is answered.
async fn call(gateway: &Gateway) {
    let http = gateway.client().unwrap();
    for _ in 0..800 {
        let args = json!({"message": "x"});
        let (status, answer) = http.call("demo", "echo", args).await.unwrap();
        assert_eq!(status, 200, "{answer:?}");
    }
}

/// Spans that are counted with one of these outcomes.
async fn counted(gateway: &Gateway, outcome: &str) -> Result<u64> {
    let failed = |error| Error::because("/metrics", error);
    let url = format!("{}/metrics", gateway.admin_url());
    let response = reqwest::get(url).await.map_err(failed)?;
    let text = response.text().await.map_err(failed)?;
    let series = format!("sluice_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    let count = line.and_then(|value| value.trim().parse::<f64>().ok());
    let count = count.ok_or_else(|| Error::new(format!("no {series}in {text}")))?;
    Ok(count as u64)
}

async fn counts(gateway: &Gateway, outcome: &str) {
    eventually(&format!("spans are counted as {outcome}"), || async {
        match counted(gateway, outcome).await? {
            0 => Err(Error::new("none yet")),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn spans_are_counted_as_failed_while_no_collector_is_there() {
    let nobody = Port::lease().unwrap();
    let cluster = traced(&format!("http://{}", nobody.address())).await;
    call(cluster.gateway(0)).await;
    counts(cluster.gateway(0), "failed").await;
    assert_eq!(counted(cluster.gateway(0), "exported").await.unwrap(), 0);
    ends(&cluster).await;
}

#[tokio::test]
async fn spans_are_dropped_and_counted_while_a_collector_does_not_answer() {
    // It takes connections, and says nothing.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = mute.local_addr().unwrap();
    let cluster = traced(&format!("http://{address}")).await;
    call(cluster.gateway(0)).await;
    counts(cluster.gateway(0), "dropped").await;
    ends(&cluster).await;
    drop(mute);
}

/// It drains and ends like any other.
async fn ends(cluster: &Cluster) {
    let gateway = cluster.gateway(0).process();
    gateway.drain().await.unwrap();
}
