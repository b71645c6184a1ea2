//! Floor (b): a bare axum server that forwards a POST over NATS and returns the body.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use super::{Args, SUBJECT, listen};
use crate::Result;

pub(crate) async fn serve(args: Args) -> Result {
    let client = async_nats::connect(&args.nats).await?;
    let router = Router::new()
        .route("/echo", post(forward))
        .with_state(client);
    axum::serve(listen().await?, router).await?;
    Ok(())
}

async fn forward(
    State(client): State<async_nats::Client>,
    body: Bytes,
) -> std::result::Result<Bytes, StatusCode> {
    let reply = client.request(SUBJECT, body).await;
    reply
        .map(|m| m.payload)
        .map_err(|_| StatusCode::BAD_GATEWAY)
}
