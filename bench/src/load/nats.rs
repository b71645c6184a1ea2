//! Floor (a): raw request-reply with one multiplexed inbox, as `client.request` does it.

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Tally, Window, gather};
use crate::floor::SUBJECT;

/// So many requests in flight on one connection.
pub(crate) async fn closed_loop(url: &str, in_flight: usize, body: &[u8], window: Window) -> Tally {
    let client = match async_nats::connect(url).await {
        Ok(client) => client,
        Err(error) => {
            let mut tally = Tally::new();
            tally.failed(&error.to_string());
            return tally;
        }
    };
    let body = Bytes::copy_from_slice(body);
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, body) = (client.clone(), body.clone());
        tasks.spawn(async move {
            let mut tally = Tally::new();
            while Instant::now() < window.end {
                let sent = Instant::now();
                match client.request(SUBJECT, body.clone()).await {
                    Ok(reply) => tally.answered(window, sent, reply.payload == body),
                    Err(error) => tally.failed(&error.to_string()),
                }
            }
            tally
        });
    }
    gather(tasks).await
}
