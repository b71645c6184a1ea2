//! Items that travel together, against a real broker.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{ErrorCode, Frame};
use sluice_worker::{Error, StreamSender, Worker};
use support::{Gateway, NatsServer, Replies, call_headers, cancel, grant, soon, stream_headers};

struct World {
    _server: NatsServer,
    gateway: Gateway,
    worker: Worker,
}

async fn count(args: Value, out: StreamSender<u64>) -> Result<(), Error> {
    for n in 1..=args["to"].as_u64().unwrap_or(0) {
        out.send(n).await?;
    }
    match args["then"].as_str() {
        Some("last") => out.send_last(0).await,
        Some("error") => Err(Error::new("enough", "enough")),
        Some("panic") => panic!("in a stream"),
        _ => Ok(()),
    }
}

async fn world() -> World {
    let server = NatsServer::start();
    let gateway = Gateway::start(&server).await;
    let worker = Worker::builder("s")
        .connect(&format!("nats://127.0.0.1:{}", server.port))
        .stream("count", count)
        // Its items come from a task of its own, while the handler waits.
        .stream("elsewhere", async |args: Value, out: StreamSender<u64>| {
            let work = tokio::spawn(count(args, out));
            work.await.map_err(Error::internal)?
        })
        .stream("slow", async |out: StreamSender<u64>| {
            for n in 1.. {
                out.send(n).await?;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok::<_, Error>(())
        })
        .start()
        .await
        .unwrap();
    soon("ready", worker.ready()).await;
    World {
        _server: server,
        gateway,
        worker,
    }
}

fn batched(headers: CallHeaders) -> CallHeaders {
    CallHeaders {
        batch: true,
        ..headers
    }
}

impl World {
    async fn open(&self, function: &str, headers: &CallHeaders, args: Value) -> Replies {
        let subject = self.gateway.call_subject("s", function);
        let mut replies = self.gateway.send(&subject, headers, args).await;
        replies.accepted().await;
        replies
    }

    /// Reads a stream of numbers from 1 to its end: how many, in how many messages, and how it
    /// ended. Grants more whenever half of what was granted has come.
    async fn read(&self, replies: &mut Replies, headers: &CallHeaders) -> (u64, u64, Frame) {
        let (mut items, mut messages, mut granted) = (0, 0, 64);
        loop {
            let frame = replies.word().await;
            let (first, values, last) = match &frame {
                Frame::Item { seq, payload, last } => (*seq, vec![payload.clone()], *last),
                Frame::Items { first, items, last } => (*first, items.items().collect(), *last),
                _ => return (items, messages, frame),
            };
            messages += 1;
            assert_eq!(first, items + 1);
            for value in values {
                items += 1;
                let value: u64 = serde_json::from_slice(&value.bytes).unwrap();
                assert!(
                    value == items || (last && value == 0),
                    "{value} after {items}"
                );
            }
            if last {
                return (items, messages, frame);
            }
            if headers.credit.is_some() && granted - items <= 32 {
                granted = items + 64;
                let body = grant(headers, granted, 1 << 20);
                self.gateway.control(self.worker.instance(), body).await;
            }
        }
    }
}

#[tokio::test]
async fn a_fast_stream_needs_few_messages_and_is_complete() {
    let w = world().await;
    for function in ["count", "elsewhere"] {
        let headers = batched(stream_headers(64, 1 << 20));
        let mut replies = w.open(function, &headers, json!({"to": 10_000})).await;
        let (items, messages, end) = w.read(&mut replies, &headers).await;
        assert_eq!((items, end), (10_000, Frame::End { count: 10_000 }));
        assert!(messages < 2_500, "{function}: {messages} messages");
    }
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_does_not_ask_for_batches_gets_none() {
    let w = world().await;
    let headers = stream_headers(64, 1 << 20);
    let mut replies = w.open("count", &headers, json!({"to": 500})).await;
    let (items, messages, end) = w.read(&mut replies, &headers).await;
    assert_eq!((items, messages), (500, 500));
    assert_eq!(end, Frame::End { count: 500 });
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_sent_comes_before_every_kind_of_end() {
    let w = world().await;
    let headers = batched(call_headers());
    let args = |then: &str| json!({"to": 5, "then": then});
    let mut last = w.open("count", &headers, args("last")).await;
    let (items, _, end) = w.read(&mut last, &headers).await;
    let is_last = matches!(
        end,
        Frame::Items { last: true, .. } | Frame::Item { last: true, .. }
    );
    assert_eq!((items, is_last), (6, true), "{end:?}");
    for then in ["error", "panic"] {
        let headers = batched(call_headers());
        let mut replies = w.open("count", &headers, args(then)).await;
        let (items, _, end) = w.read(&mut replies, &headers).await;
        let Frame::Error { error, .. } = end else {
            panic!("{end:?}");
        };
        assert_eq!(items, 5, "{then}");
        if then == "error" {
            assert_eq!(error.code_text(), "enough");
        }
    }
    w.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lone_item_comes_at_once_and_credit_holds() {
    let w = world().await;
    let headers = batched(stream_headers(2, 1 << 20));
    let mut slow = w.open("slow", &headers, json!({})).await;
    for n in 1..=2 {
        // As an item, and not with the one after it, which needs credit that never comes.
        assert_eq!(slow.item().await, (n, json!(n)));
    }
    assert!(matches!(slow.frame().await, Frame::Beat { seq: 2, .. }));
    w.gateway
        .control(w.worker.instance(), cancel(&headers))
        .await;
    assert_eq!(slow.error().await.code, ErrorCode::Cancelled);

    let headers = batched(stream_headers(3, 1 << 20));
    let mut held = w.open("count", &headers, json!({"to": 9})).await;
    let mut items = 0;
    while items < 3 {
        items += match held.word().await {
            Frame::Item { .. } => 1,
            Frame::Items { items, .. } => items.len(),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(items, 3);
    assert!(matches!(held.frame().await, Frame::Beat { seq: 3, .. }));
    w.worker.shutdown().await.unwrap();
}
