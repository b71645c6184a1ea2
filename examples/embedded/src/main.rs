//! `cargo run -p sluice-embedded`: a program with a gateway in it, and a broker so that it runs by
//! itself. Ends with Ctrl-C.

use std::error::Error;

use sluice_broker::{Broker, BrokerOptions};
use sluice_gateway::config::Config;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let broker = Broker::spawn(([127, 0, 0, 1], 0).into(), BrokerOptions::default()).await?;
    let mut config = Config::default();
    config.nats.url = broker.url();
    config.registry.open = true;
    // Who calls is whoever it says: for a first try only.
    config.identity.trust_client_identity = true;
    let gateway = sluice_embedded::gateway(config)?.start().await?;
    tracing::info!("clients connect to http://{}", gateway.http());
    tokio::signal::ctrl_c().await?;
    gateway.drain().await;
    broker.shutdown().await;
    Ok(())
}
