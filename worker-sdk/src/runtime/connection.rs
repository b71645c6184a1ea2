//! The one connection to NATS, its ups and downs.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Event, Request};
use rand::Rng;
use tokio::sync::watch;

use crate::options::NatsOptions;
use crate::worker::WorkerError;

/// Most time between attempts to connect.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Most time for the broker to answer a round trip.
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(2);

/// What became of the connection so far. Counters, because quick changes may be seen as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    /// How often it came up.
    pub(crate) ups: u64,
    /// How often it broke.
    pub(crate) downs: u64,
}

/// Starts to connect, and never stops trying: the broker may start later than the worker.
pub(crate) async fn connect(
    options: &NatsOptions,
    name: &str,
) -> Result<(Client, watch::Receiver<Link>), WorkerError> {
    let servers = options.servers().map_err(WorkerError::Nats)?;
    let (link, seen) = watch::channel(Link::default());
    let client = options
        .to_client()
        .map_err(WorkerError::Nats)?
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            note(&link, &event);
            std::future::ready(())
        })
        .connect(servers)
        .await
        .map_err(|e| WorkerError::Nats(e.to_string()))?;
    Ok((client, seen))
}

fn note(link: &watch::Sender<Link>, event: &Event) {
    match event {
        Event::Connected => link.send_modify(|l| {
            l.connected = true;
            l.ups += 1;
        }),
        Event::Disconnected => {
            tracing::warn!("connection to the broker lost, connecting again");
            link.send_modify(|l| {
                l.connected = false;
                l.downs += 1;
            });
        }
        Event::SlowConsumer(sid) => {
            tracing::error!(sid, "messages were lost: the worker reads too slowly");
        }
        Event::ServerError(error) => tracing::warn!(%error, "the broker reports an error"),
        Event::ClientError(error) => tracing::warn!(%error, "the broker cannot be reached"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {}
    }
}

/// At once at first, then doubling, with jitter so that many workers do not come back as one.
fn reconnect_delay(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(5);
    let delay = (Duration::from_millis(100) * 2_u32.pow(doublings)).min(MAX_RECONNECT_DELAY);
    delay.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Waits until the broker has handled everything that was sent to it before; false: it did not
/// answer in time.
///
/// The client's own `flush` only says that bytes have left. A request that nobody can answer comes
/// back from the broker itself, after all that it had to deliver to this connection before.
pub(crate) async fn round_trip(client: &Client) -> bool {
    let request = Request::new().timeout(Some(ROUND_TRIP_LIMIT));
    match client.send_request(client.new_inbox(), request).await {
        Ok(_) => true,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => true,
        Err(error) => {
            tracing::warn!(%error, "the broker did not answer a round trip (may the worker publish to its inbox?)");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_broker_grow_to_a_limit() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        for attempt in [2, 3, 7, 1000, usize::MAX] {
            let delay = reconnect_delay(attempt);
            assert!(delay >= Duration::from_millis(50) && delay <= MAX_RECONNECT_DELAY);
        }
    }
}
