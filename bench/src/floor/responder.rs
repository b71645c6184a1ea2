//! What answers the floors: each request's own bytes.

use futures_util::StreamExt;

use super::{Args, SUBJECT};
use crate::Result;

#[expect(clippy::print_stdout, reason = "the harness waits for this line")]
pub(crate) async fn serve(args: Args) -> Result {
    let client = async_nats::connect(&args.nats).await?;
    let mut requests = client.queue_subscribe(SUBJECT, "q".to_owned()).await?;
    client.flush().await?;
    println!("ready");
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await?;
        }
    }
    Ok(())
}
