//! Floor (a): raw request-reply with one multiplexed inbox, as `client.request` does it, and raw
//! publishes to one subscriber.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Tally, Window, gather};
use crate::Result;
use crate::floor::{ITEMS_SUBJECT, SUBJECT};

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

/// Items that a publisher sends as fast as the broker takes them, for each of so many subscriptions
/// on one connection; each asks for more when it has what it asked for.
pub(crate) async fn items(url: &str, streams: usize, window: Window) -> Tally {
    let mut tasks = JoinSet::new();
    let client = async_nats::ConnectOptions::new()
        .subscription_capacity(1 << 18)
        .connect(url)
        .await;
    match client {
        Err(error) => {
            let mut tally = Tally::new();
            tally.failed(&error.to_string());
            return tally;
        }
        Ok(client) => {
            for _ in 0..streams {
                let client = client.clone();
                tasks.spawn(async move {
                    let mut tally = Tally::new();
                    let asked = ask_items(&client, 20_000 / streams, window, &mut tally).await;
                    if let Err(error) = asked {
                        tally.failed(&error.to_string());
                    }
                    tally
                });
            }
        }
    }
    gather(tasks).await
}

async fn ask_items(
    client: &async_nats::Client,
    count: usize,
    window: Window,
    tally: &mut Tally,
) -> Result {
    let inbox = client.new_inbox();
    let mut items = client.subscribe(inbox.clone()).await?;
    while Instant::now() < window.end {
        let wanted = count.to_string().into();
        client
            .publish_with_reply(ITEMS_SUBJECT, inbox.clone(), wanted)
            .await?;
        for _ in 0..count {
            items.next().await.ok_or("the subscription ended")?;
            tally.item(window);
        }
    }
    Ok(())
}
