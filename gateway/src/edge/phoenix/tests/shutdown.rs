//! The gateway goes: each socket in its turn, with its calls finished.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sluice_protocol::Payload;
use sluice_protocol::response::Answer;
use tokio::time::{Instant, advance, sleep};
use tokio_tungstenite::tungstenite::Message;

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
        rig.leaves_with(1012, REASON).await;
        moments.push(start.elapsed());
    }
    assert!(
        moments.iter().all(|m| *m <= Duration::from_millis(5150)),
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
    rig.leaves_with(1012, REASON).await;
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
    rig.leaves_with(1012, REASON).await;
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
    rig.leaves_with(1012, REASON).await;
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
    // Nobody has joined: there is no push to wait for.
    rig.closed_with(1012, REASON).await;
    rig.hang_up();
    rig.task.await.unwrap();
}

/// A client that is told to go, and so many pushes that it had made before it knew.
async fn crossing(pushes: usize) -> Rig {
    let mut rig = Rig::joined("api:x").await;
    rig.drain.cancel();
    rig.told_to_go().await;
    for n in 0..pushes {
        rig.request(&format!("r{n}"), json!({}));
    }
    rig
}

async fn refused(rig: &mut Rig, id: &str) {
    let reply = rig.json().await;
    assert_eq!(
        (&reply[1], &reply[4]["status"]),
        (&json!(id), &json!("error"))
    );
    let refusal = rig.response().await;
    assert_eq!(
        (&refusal["request_id"], &refusal["error_code"]),
        (&json!(id), &json!("overloaded"))
    );
    assert_eq!(
        (&refusal["can_retry"], &refusal["details"]["executed"]),
        (&json!(true), &json!("no"))
    );
}

#[tokio::test(start_paused = true)]
async fn pushes_that_cross_the_farewell_are_answered_before_the_close() {
    let mut rig = crossing(20).await;
    rig.pong();
    for n in 0..20 {
        refused(&mut rig, &format!("r{n}")).await;
    }
    // A browser's pong may overtake its script.
    sleep(Duration::from_millis(60)).await;
    rig.request("late", json!({}));
    refused(&mut rig, "late").await;
    let quiet = Instant::now();
    rig.closed_with(1012, REASON).await;
    assert!(
        (90..=110).contains(&quiet.elapsed().as_millis()),
        "{:?}",
        quiet.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pushes_on_or_answers_no_ping_is_closed_all_the_same() {
    for pongs in [true, false] {
        let mut rig = crossing(0).await;
        let told = Instant::now();
        // Not the answer to our ping.
        rig.message(Message::Pong(Bytes::new()));
        if pongs {
            rig.pong();
        }
        let mut pushes = 0;
        while told.elapsed() < Duration::from_millis(1950) {
            rig.request(&format!("r{pushes}"), json!({}));
            refused(&mut rig, &format!("r{pushes}")).await;
            pushes += 1;
            sleep(Duration::from_millis(50)).await;
        }
        rig.closed_with(1012, REASON).await;
        assert_eq!(told.elapsed().as_millis() / 20, 100, "{:?}", told.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_again_too_soon_is_not_taken_in() {
    let mut rig = crossing(0).await;
    rig.send(json!(["2", "2", "api:x", "phx_join", {}]));
    rig.quiet().await;
    rig.pong();
    rig.closed_with(1012, REASON).await;
}
