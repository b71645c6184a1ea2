//! Whether a worker answers: the question that `nats service ping` asks (ADR-32), for one instance.

use std::time::Duration;

use bytes::Bytes;

use super::Options;

/// The container runtime has a limit of its own, a little longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks once, over a connection of its own with the worker's credentials.
pub(super) async fn check(options: &Options) -> Result<(), String> {
    let instance = options
        .instance()
        .ok_or("whose health? Give --instance or --instance-is-hostname")?;
    let connect = options.broker.client().await?;
    let client = connect
        .connection_timeout(PATIENCE)
        .connect(options.broker.servers())
        .await
        .map_err(|e| format!("the broker: {e}"))?;
    let subject = format!("$SRV.PING.{}.{instance}", options.service);
    let answer = tokio::time::timeout(PATIENCE, client.request(subject, Bytes::new())).await;
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{instance}: {error}")),
        Err(_) => Err(format!("{instance} does not answer")),
    }
}
