//! What gateways share, with real processes: two gateways, one Redis, and Redis killed under
//! calls; TLS and credentials on the way to NATS and Redis.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod away;
mod once;
mod results;
mod sticky;
mod tls;
mod topologies;

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, eventually};

/// Two gateways, one Redis, three workers.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .workers(3)
        .redis()
        .gateway(|_, gateway| patient(gateway))
        .await
        .unwrap();
    redis_available(&cluster, true).await;
    cluster
}

/// The machine that runs the tests is busy: a slow answer is no sign that Redis is away.
fn patient(gateway: GatewayBuilder) -> GatewayBuilder {
    gateway
        .option("redis", "timeout_ms", 5000)
        .option("gateway", "drain_delay_ms", 0)
}

/// Waits until each gateway says so of Redis.
async fn redis_available(cluster: &Cluster, expected: bool) {
    for gateway in cluster.gateways() {
        let client = gateway.client().unwrap();
        eventually("the gateway tells of Redis", || async {
            let told = client.get("/health/ready").send().await;
            let told: Value = told
                .map_err(|e| Error::because("health", e))?
                .json()
                .await
                .map_err(|e| Error::because("health", e))?;
            let degraded = told["degraded"] == json!(!expected);
            Ok::<_, Error>(degraded && told["redis_available"] == json!(expected))
        })
        .await
        .unwrap();
    }
}
