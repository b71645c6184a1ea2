//! Runs the broker until Ctrl-C: `cargo run -p sluice-broker --example serve -- 127.0.0.1:4222`.

use std::error::Error;
use std::net::SocketAddr;

use sluice_broker::{Broker, BrokerOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr: SocketAddr = std::env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("127.0.0.1:4222")
        .parse()?;
    let broker = Broker::bind(addr, BrokerOptions::default()).await?;
    broker
        .run(async {
            // If the signal cannot be awaited, stopping at once is better than never.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
