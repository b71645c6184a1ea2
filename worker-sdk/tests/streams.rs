//! Streams, credit and what ends them, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{ErrorCode, Frame};
use sluice_worker::{Context, Error, JsonSchema, StreamSender, Worker};
use support::{
    Gateway, NatsServer, Replies, Wire, call_headers, cancel, eventually, grant, soon,
    stream_headers,
};

#[derive(Deserialize, JsonSchema)]
struct Count {
    to: u64,
}

async fn count(args: Count, out: StreamSender<u64>) -> Result<(), Error> {
    for n in 1..=args.to {
        out.send(n).await?;
    }
    Ok(())
}

struct World {
    _server: NatsServer,
    wire: Wire,
    gateway: Gateway,
    worker: Worker,
    sent: Arc<AtomicU64>,
}

async fn world() -> World {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let wire = Wire::to(server.port).await;
    let sent = Arc::new(AtomicU64::new(0));
    let seen = sent.clone();
    let worker = Worker::builder("s")
        .connect(&wire.url())
        .stream("count", count)
        .stream(
            "forever",
            move |_: Context, _: Value, out: StreamSender<Value>| {
                let sent = seen.clone();
                async move {
                    for n in 1.. {
                        out.send(json!(n)).await?;
                        sent.store(n, Ordering::SeqCst);
                    }
                    Ok::<_, Error>(())
                }
            },
        )
        .stream("text", async |args: Value, out: StreamSender<String>| {
            for size in args["sizes"].as_array().into_iter().flatten() {
                out.send("x".repeat(size.as_u64().unwrap_or(0) as usize))
                    .await?;
            }
            Ok::<_, Error>(())
        })
        .stream("last", async |out: StreamSender<u8>| {
            out.send(1).await?;
            out.send_last(2).await
        })
        .stream("fails", async |out: StreamSender<u8>| {
            out.send(1).await?;
            Err::<(), _>(Error::new("enough", "enough"))
        })
        .stream(
            "panics",
            async |out: StreamSender<u8>| -> Result<(), Error> {
                out.send(1).await?;
                panic!("in a stream");
            },
        )
        .stream("quiet", async |_out: StreamSender<u8>| {
            std::future::pending::<()>().await
        })
        .start()
        .await
        .unwrap();
    soon("ready", worker.ready()).await;
    World {
        _server: server,
        wire,
        gateway,
        worker,
        sent,
    }
}

impl World {
    async fn open(&self, function: &str, headers: &CallHeaders, args: Value) -> Replies {
        let subject = self.gateway.call_subject("s", function);
        let mut replies = self.gateway.send(&subject, headers, args).await;
        assert_eq!(replies.accepted().await, self.worker.instance().as_str());
        replies
    }

    async fn control(&self, body: Value) {
        self.gateway.control(self.worker.instance(), body).await;
    }
}

#[tokio::test]
async fn items_are_numbered_and_the_end_counts_them() {
    let w = world().await;
    let mut replies = w.open("count", &call_headers(), json!({"to": 3})).await;
    for n in 1..=3 {
        assert_eq!(replies.item().await, (n, json!(n)));
    }
    assert_eq!(replies.word().await, Frame::End { count: 3 });
    let mut empty = w.open("count", &call_headers(), json!({"to": 0})).await;
    assert_eq!(empty.word().await, Frame::End { count: 0 });
    let mut last = w.open("last", &call_headers(), json!({})).await;
    assert_eq!(last.item().await, (1, json!(1)));
    assert!(matches!(
        last.word().await,
        Frame::Item {
            seq: 2,
            last: true,
            ..
        }
    ));
    eventually("all done", || w.worker.in_flight() == 0).await;
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_error_or_a_panic_ends_a_stream() {
    let w = world().await;
    let mut fails = w.open("fails", &call_headers(), json!({})).await;
    assert_eq!(fails.item().await.0, 1);
    assert_eq!(fails.error().await.code_text(), "enough");
    let mut panics = w.open("panics", &call_headers(), json!({})).await;
    assert_eq!(panics.item().await.0, 1);
    assert_eq!(panics.error().await.code, ErrorCode::WorkerError);
    let mut wrong = w.open("count", &call_headers(), json!({"to": "x"})).await;
    assert_eq!(wrong.error().await.code, ErrorCode::InvalidArguments);
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_worker_sends_no_item_beyond_its_credit() {
    let w = world().await;
    let headers = stream_headers(2, 1_000_000);
    let mut replies = w.open("forever", &headers, json!({})).await;
    for n in 1..=2 {
        assert_eq!(replies.item().await.0, n);
    }
    // A beat instead of an item: the handler waits.
    assert!(matches!(replies.frame().await, Frame::Beat { seq: 2, .. }));
    assert_eq!(w.sent.load(Ordering::SeqCst), 2);
    w.control(grant(&headers, 5, 1_000_000)).await;
    for n in 3..=5 {
        assert_eq!(replies.item().await.0, n);
    }
    assert!(matches!(replies.frame().await, Frame::Beat { seq: 5, .. }));
    w.control(cancel(&headers)).await;
    assert_eq!(replies.error().await.code, ErrorCode::Cancelled);
    eventually("nothing is held", || w.worker.in_flight() == 0).await;
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn bytes_count_and_one_item_may_be_larger_than_the_window() {
    let w = world().await;
    let headers = stream_headers(100, 50);
    // With its quotes, an item has two bytes more.
    let sizes = json!({"sizes": [500, 8, 8]});
    let mut replies = w.open("text", &headers, sizes).await;
    assert_eq!(replies.item().await.0, 1);
    assert!(matches!(replies.frame().await, Frame::Beat { seq: 1, .. }));
    w.control(grant(&headers, 100, 502)).await;
    assert_eq!(replies.item().await.0, 2);
    assert!(matches!(replies.frame().await, Frame::Beat { seq: 2, .. }));
    w.control(grant(&headers, 100, 600)).await;
    assert_eq!(replies.item().await.0, 3);
    assert_eq!(replies.word().await, Frame::End { count: 3 });
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_grants_a_stream_is_lost_and_without_credit_it_lives() {
    let w = world().await;
    let mut bound = w.open("quiet", &stream_headers(1, 1), json!({})).await;
    let mut free = w.open("quiet", &call_headers(), json!({})).await;
    let error = bound.error().await;
    assert_eq!(error.code, ErrorCode::StreamLost);
    assert!(matches!(free.frame().await, Frame::Beat { seq: 0, .. }));
    eventually("the other lives", || w.worker.in_flight() == 1).await;
    drop(w);
}

#[tokio::test]
async fn an_item_above_the_limit_is_refused_and_named() {
    let w = world().await;
    let limit = w.gateway.client.max_payload();
    let sizes = json!({"sizes": [3, limit]});
    let mut replies = w.open("text", &call_headers(), sizes).await;
    assert_eq!(replies.item().await.0, 1);
    let error = replies.error().await;
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_loses_open_streams_and_says_so_afterwards() {
    let w = world().await;
    let headers = stream_headers(3, 1_000_000);
    let mut replies = w.open("forever", &headers, json!({})).await;
    for n in 1..=3 {
        assert_eq!(replies.item().await.0, n);
    }
    w.wire.cut();
    let error = replies.error().await;
    assert_eq!(error.code, ErrorCode::StreamLost);
    eventually("nothing is held", || w.worker.in_flight() == 0).await;
    w.worker.shutdown().await.unwrap();
}
