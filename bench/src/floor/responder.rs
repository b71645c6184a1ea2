//! What answers the floors: each request's own bytes, or the items that it asks for.

use bytes::Bytes;
use futures_util::StreamExt;

use super::{Args, ITEM_BYTES, ITEMS_SUBJECT, SUBJECT};
use crate::Result;

#[expect(clippy::print_stdout, reason = "the harness waits for this line")]
pub(crate) async fn serve(args: Args) -> Result {
    let client = async_nats::connect(&args.nats).await?;
    let mut requests = client.queue_subscribe(SUBJECT, "q".to_owned()).await?;
    let items = client.subscribe(ITEMS_SUBJECT).await?;
    tokio::spawn(publish_items(client.clone(), items));
    client.flush().await?;
    println!("ready");
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await?;
        }
    }
    Ok(())
}

async fn publish_items(client: async_nats::Client, mut asked: async_nats::Subscriber) -> Result {
    let item = Bytes::from(format!("\"{}\"", "x".repeat(ITEM_BYTES - 2)));
    while let Some(request) = asked.next().await {
        let count: usize = std::str::from_utf8(&request.payload)?.parse()?;
        let (client, item) = (client.clone(), item.clone());
        tokio::spawn(async move {
            let Some(to) = request.reply else { return };
            for _ in 0..count {
                if client.publish(to.clone(), item.clone()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
