//! The gateway goes: each socket in its turn, with its calls finished.

use std::time::Duration;

use serde_json::json;
use sluice_protocol::Payload;
use sluice_protocol::response::Answer;
use tokio::time::{Instant, advance, sleep};

use super::rig::{Rig, success};
use crate::reply::Reply;

const REASON: &str = "the gateway restarts; connect again";

#[tokio::test(start_paused = true)]
async fn idle_sockets_go_at_moments_spread_over_the_window() {
    let mut moments = Vec::new();
    for _ in 0..40 {
        let mut rig = Rig::joined("api:x").await;
        let start = Instant::now();
        rig.drain.cancel();
        // No phx_close: the client is to come back to the same channels.
        rig.closed_with(1012, REASON).await;
        moments.push(start.elapsed());
    }
    assert!(
        moments.iter().all(|m| *m <= Duration::from_millis(5010)),
        "{moments:?}"
    );
    let (first, last) = (moments.iter().min().unwrap(), moments.iter().max().unwrap());
    assert!(*last - *first > Duration::from_secs(1), "{moments:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_finish_and_new_ones_are_sent_elsewhere() {
    let mut rig = Rig::joined("api:x").await;
    let asked = rig.accepted("r1").await;
    let (late, cancelled) = rig.accepted("r2").await.acknowledge(Reply::Async);
    assert_eq!(
        rig.response().await,
        success("r2", [true, false], json!(null))
    );
    rig.drain.cancel();
    // Past every socket's turn.
    sleep(Duration::from_secs(6)).await;
    rig.request("r3", json!({}));
    assert_eq!(rig.json().await[4]["status"], "error");
    let refusal = rig.response().await;
    assert_eq!(refusal["error_code"], "overloaded");
    assert_eq!(refusal["can_retry"], true);
    assert_eq!(refusal["details"]["executed"], "no");
    asked.result("1");
    assert_eq!(
        rig.response().await,
        success("r1", [false, false], json!(1))
    );
    late.send(Answer::Result(Payload::json("2"))).await.unwrap();
    assert_eq!(
        rig.response().await,
        success("r2", [false, false], json!(2))
    );
    assert!(!cancelled.is_cancelled());
    rig.closed_with(1012, REASON).await;
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_an_error_at_the_turn() {
    let mut rig = Rig::joined("api:x").await;
    let (items, cancelled) = rig.accepted("r").await.acknowledge(Reply::Stream);
    assert_eq!(rig.response().await["has_more"], true);
    rig.drain.cancel();
    items.send(super::rig::item("1")).await.unwrap();
    assert_eq!(rig.response().await["result"], 1);
    let cut = rig.response().await;
    assert_eq!(cut["error_code"], "stream_lost");
    assert_eq!(cut["error_source"], "gateway");
    assert_eq!(cut["can_retry"], false);
    rig.closed_with(1012, REASON).await;
    cancelled.cancelled().await;
    items.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_opens_after_the_turn_is_cut_at_once() {
    let mut rig = Rig::joined("api:x").await;
    let asked = rig.accepted("r").await;
    rig.drain.cancel();
    sleep(Duration::from_secs(6)).await;
    let (items, _cancelled) = asked.acknowledge(Reply::Stream);
    assert_eq!(rig.response().await["error_code"], "stream_lost");
    rig.closed_with(1012, REASON).await;
    items.closed().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_take_too_long_do_not_keep_the_gateway() {
    let mut rig = Rig::joined("api:x").await;
    let mut asked = rig.accepted("r").await;
    let start = Instant::now();
    rig.drain.cancel();
    rig.quiet().await;
    for _ in 0..10 {
        advance(Duration::from_millis(2900)).await;
        rig.quiet().await;
    }
    rig.closed_with(1012, REASON).await;
    assert_eq!(start.elapsed().as_secs(), 30);
    asked.answer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_connects_during_the_shutdown_goes_as_well() {
    let mut rig = Rig::new();
    rig.drain.cancel();
    rig.closed_with(1012, REASON).await;
    rig.hang_up();
    rig.task.await.unwrap();
}
