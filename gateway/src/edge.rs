//! Temporary edge for integration.
pub mod listener;
pub mod phoenix;
use crate::pipeline::Call;
use crate::reply::Reply;
use crate::shard::Shard;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use sluice_protocol::response::{Answer, Response as Env};
use sluice_protocol::*;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Serve.
pub async fn serve(listener: std::net::TcpListener, shard: Arc<Shard>, drain: CancellationToken) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let router = axum::Router::new()
        .route("/health/live", get(|| async { "ok" }))
        .route(
            "/health/ready",
            get(|State(s): State<Arc<Shard>>| async move {
                if s.health.is_ready() {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            }),
        )
        .route("/api", post(whole))
        .route("/api/{s}/{f}", post(call))
        .with_state(shard);
    axum::serve(listener, router)
        .with_graceful_shutdown(drain.cancelled_owned())
        .await
        .unwrap();
}
async fn whole(State(shard): State<Arc<Shard>>, h: HeaderMap, body: Bytes) -> Response {
    match Request::from_json(&body) {
        Ok(r) => {
            run(
                shard,
                h,
                Call {
                    request_id: r.request_id.unwrap_or(RequestId::new("x").unwrap()),
                    service: r.service,
                    request_type: r.request_type,
                    version: r.version,
                    args: r.args,
                    identity: r.claim,
                    trace: None,
                    timeout_ms: None,
                    idempotent_only: false,
                },
            )
            .await
        }
        Err(e) => env("x", Answer::from(e)),
    }
}
fn env(id: &str, a: Answer) -> Response {
    let st = match &a {
        Answer::Error(e) => e.http_status(),
        Answer::AsyncAck => 202,
        _ => 200,
    };
    (
        StatusCode::from_u16(st).unwrap(),
        [("content-type", "application/json")],
        Env {
            request_id: id,
            answer: &a,
        }
        .encode(Encoding::Json)
        .unwrap(),
    )
        .into_response()
}
async fn call(
    State(shard): State<Arc<Shard>>,
    Path((s, f)): Path<(String, String)>,
    h: HeaderMap,
    body: Bytes,
) -> Response {
    let rid = h
        .get("x-request-id")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("r1")
        .to_owned();
    let c = Call {
        request_id: RequestId::new(&rid).unwrap(),
        service: ServiceName::new(&s).unwrap(),
        request_type: FunctionName::new(&f).unwrap(),
        version: None,
        args: Payload::json(if body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            body
        }),
        identity: Identity::anonymous(),
        trace: None,
        timeout_ms: None,
        idempotent_only: false,
    };
    run(shard, h, c).await
}
async fn run(shard: Arc<Shard>, h: HeaderMap, c: Call) -> Response {
    let id = c.request_id.clone();
    let sse = h
        .get("accept")
        .is_some_and(|v| v.as_bytes().starts_with(b"text/event"));
    match shard.pipeline.run(c).await {
        Err(e) => env(id.as_str(), Answer::from(e)),
        Ok(Reply::Accepted) => env(id.as_str(), Answer::AsyncAck),
        Ok(Reply::Result(p)) => env(id.as_str(), Answer::Result(p)),
        Ok(Reply::Async(mut a)) => {
            tokio::spawn(async move { while a.next().await.is_some() {} });
            env(id.as_str(), Answer::AsyncAck)
        }
        Ok(Reply::Stream(a)) => {
            let s = futures_util::stream::unfold(
                (Some(Answer::StreamAck), a, 0u64),
                move |(first, mut a, n)| {
                    let id = id.clone();
                    async move {
                        let x = match first {
                            Some(x) => x,
                            None => a.next().await?,
                        };
                        let name = match &x {
                            Answer::StreamAck => "ack",
                            Answer::Item { .. } => "item",
                            Answer::StreamEnd => "end",
                            _ => "error",
                        };
                        let j = Env {
                            request_id: id.as_str(),
                            answer: &x,
                        }
                        .encode(Encoding::Json)
                        .unwrap();
                        let j = String::from_utf8(j.to_vec()).unwrap();
                        let line = if sse {
                            format!("event: {name}\nid: {n}\ndata: {j}\n\n")
                        } else {
                            format!("{j}\n")
                        };
                        Some((Ok::<_, std::io::Error>(line), (None, a, n + 1)))
                    }
                },
            );
            (
                [(
                    "content-type",
                    if sse {
                        "text/event-stream"
                    } else {
                        "application/x-ndjson"
                    },
                )],
                axum::body::Body::from_stream(s),
            )
                .into_response()
        }
    }
}
