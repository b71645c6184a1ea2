//! Slow clients, idle clients, clients that leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_protocol::response::Answer;
use tokio::time::{Instant, sleep};

use super::super::connection::IDLE;
use super::*;
use crate::edge::fake::{item, next_open, result};

#[tokio::test(start_paused = true)]
async fn a_stream_goes_no_faster_than_its_client_reads() {
    let (pipes, mut open) = Pipes::of(Rig::new());
    let mut client = pipes.connect(8 << 10);
    client.post("items", "{}").await;
    let far = next_open(&mut open).await;
    let produced = Arc::new(AtomicUsize::new(0));
    const ITEMS: usize = 5000;
    let producer = tokio::spawn({
        let produced = produced.clone();
        async move {
            for n in 0..ITEMS {
                let json = format!("\"{n} {}\"", "x".repeat(1000));
                far.answers.send(item(&json)).await.unwrap();
                produced.fetch_add(1, Ordering::Relaxed);
            }
            far.answers.send(Answer::StreamEnd).await.unwrap();
        }
    });
    // Paused time goes on only when nothing else can.
    sleep(Duration::from_secs(1)).await;
    let ahead = produced.load(Ordering::Relaxed);
    assert!(
        (1..500).contains(&ahead),
        "{ahead} items for a client that reads nothing"
    );
    sleep(Duration::from_secs(10)).await;
    assert_eq!(produced.load(Ordering::Relaxed), ahead, "and no more");
    // Once it reads, it gets them all.
    let end = "\"async\":true,\"has_more\":false,\"can_retry\":false}\n\r\n0\r\n\r\n";
    let text = client.until(end).await;
    producer.await.unwrap();
    assert_eq!(text.matches("\"result\":\"").count(), ITEMS);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_its_calls() {
    for function in ["items", "hold"] {
        let rig = Rig::new();
        let capacity = rig.capacity.clone();
        let (pipes, mut open) = Pipes::of(rig);
        let mut client = pipes.connect(1 << 10);
        client.post(function, "{}").await;
        let far = next_open(&mut open).await;
        assert_eq!(capacity.in_flight(), 1);
        drop(client);
        within("the call is cancelled", far.cancelled.cancelled()).await;
        // The server notices, and its task ends.
        pipes.server.edge().tasks.close();
        within("the connection ends", pipes.server.edge().tasks.wait()).await;
        assert_eq!(
            (capacity.in_flight(), pipes.server.open()),
            (0, 0),
            "{function}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_request_has_its_time() {
    for beginning in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "POST /api/s/echo HTTP/1.1\r\nhost: h\r\n",
    ] {
        let rig = Rig::with(|c| c.http.header_timeout = Duration::from_secs(10));
        let (pipes, _open) = Pipes::of(rig);
        let start = Instant::now();
        let mut client = pipes.connect(1 << 10);
        client.send(beginning).await;
        client.closed().await;
        assert_eq!(start.elapsed().as_secs(), 10, "{beginning:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let (pipes, mut open) = Pipes::of(Rig::new());
    let mut client = pipes.connect(8 << 10);
    client.post("hold", "{}").await;
    let far = next_open(&mut open).await;
    sleep(IDLE * 10).await;
    far.answers.send(result("1")).await.unwrap();
    assert_eq!(client.reply().await.status, 200);
    // Each request starts the time anew.
    for _ in 0..3 {
        sleep(IDLE * 9 / 10).await;
        client.post("echo", "{}").await;
        assert_eq!(client.reply().await.status, 200);
    }
    let idle = Instant::now();
    let end = client.io.read(&mut [0]).await;
    assert_eq!(end.unwrap_or(0), 0);
    assert!(
        (IDLE..=IDLE * 2).contains(&idle.elapsed()),
        "{:?}",
        idle.elapsed()
    );
}
