//! Floor (c): a bare axum WebSocket whose text messages are forwarded over NATS.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};

use super::{Args, SUBJECT, listen};
use crate::Result;

pub(crate) async fn serve(args: Args) -> Result {
    let client = async_nats::connect(&args.nats).await?;
    let router = Router::new()
        .route("/socket", any(upgrade))
        .with_state(client);
    axum::serve(listen().await?, router).await?;
    Ok(())
}

async fn upgrade(State(client): State<async_nats::Client>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| forward(client, socket))
}

/// Several requests may be in flight on one socket; answers go out as they come.
async fn forward(client: async_nats::Client, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let mut pending = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(Ok(reply)) = pending.next(), if !pending.is_empty() => {
                let reply: async_nats::Message = reply;
                let Ok(text) = axum::extract::ws::Utf8Bytes::try_from(reply.payload) else { return };
                if sink.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            message = source.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    pending.push(client.request(SUBJECT, Bytes::from(text)));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}
