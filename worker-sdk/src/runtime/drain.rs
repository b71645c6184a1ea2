//! The ordered way out: take nothing new, lose nothing that was taken, tell who still waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::round_trip;
use super::messages;
use super::running::EndReason;
use super::service::Service;
use super::shared::Shared;

/// Most time for a step that needs the broker, which may be away.
const BROKER_LIMIT: Duration = Duration::from_secs(2);
/// Most time for ended handlers to say so.
const FORCED_LIMIT: Duration = Duration::from_secs(2);

/// Brings the worker to an end. `left` closes when all queue groups are left.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    services: &[Arc<Service>],
    mut left: mpsc::Receiver<()>,
    drain_timeout: Duration,
) {
    tracing::info!(in_flight = shared.table.len(), "draining");
    // Nobody joins a group from here on, and the channel can close.
    shared.membership.lock().take();
    shared.leaving.cancel();
    // Gateways learn it first, so that none selects this instance while it goes.
    for service in services {
        let told = async {
            messages::heartbeat(shared, service, None).await;
            messages::leave(shared, service).await;
        };
        let _ = timeout(BROKER_LIMIT, told).await;
    }
    let _ = timeout(BROKER_LIMIT, left.recv()).await;
    // What the broker sent before it heard of all that has arrived after one round trip.
    round_trip(&shared.client).await;
    if timeout(drain_timeout, finish(shared)).await.is_err() {
        tracing::warn!(
            in_flight = shared.table.len(),
            "time is over, calls are cut"
        );
        shared.table.end_all(&EndReason::Drained);
        let _ = timeout(FORCED_LIMIT, close(shared)).await;
        shared.table.end_all(&EndReason::Drained);
        let _ = timeout(FORCED_LIMIT, shared.table.empty()).await;
    }
    // The final replies reach the broker before the connection ends.
    round_trip(&shared.client).await;
    shared.closed.cancel();
    let _ = timeout(BROKER_LIMIT, shared.client.drain()).await;
    tracing::info!("drained");
}

/// Waits until all calls are done, also those that were on their way to the instance's own subject.
async fn finish(shared: &Shared) {
    shared.table.empty().await;
    round_trip(&shared.client).await;
    close(shared).await;
    shared.table.empty().await;
}

/// Reads all subscriptions to their end.
async fn close(shared: &Shared) {
    shared.closing.cancel();
    shared.readers.close();
    shared.readers.wait().await;
}
