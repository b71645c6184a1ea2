//! The reply that a call was taken waits a moment for what leaves with it.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::rig::{Rig, options, success, taken};
use crate::edge::phoenix::frame::Vsn;
use crate::edge::phoenix::options::Phoenix as Options;
use crate::reply::Reply;

const DELAY: Duration = Duration::from_millis(5);
const MILLI: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn it_leaves_with_the_response_and_before_it() {
    let mut rig = Rig::joined("api:x").await;
    let began = Instant::now();
    rig.request("r", json!({}));
    let asked = rig.asked().await;
    sleep(MILLI).await;
    assert_eq!(rig.try_frame(), None, "nothing leaves alone");
    asked.result("1");
    rig.expect(taken("r")).await;
    let response = rig.response().await;
    assert_eq!(response, success("r", [false, false], json!(1)));
    assert!(began.elapsed() < DELAY);
}

#[tokio::test(start_paused = true)]
async fn it_does_not_wait_for_a_slow_response() {
    let mut rig = Rig::joined("api:x").await;
    let began = Instant::now();
    rig.request("slow", json!({}));
    sleep(MILLI * 3).await;
    rig.request("later", json!({}));
    rig.expect(taken("slow")).await;
    // The second does not add to the wait of the first.
    rig.expect(taken("later")).await;
    assert!((DELAY..DELAY + 2 * MILLI).contains(&began.elapsed()));
    // Nothing is left behind that would keep the next one.
    rig.request("next", json!({}));
    rig.expect(taken("next")).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_leaves_takes_it_along() {
    let mut rig = Rig::joined("api:x").await;
    let began = Instant::now();
    rig.request("r", json!({}));
    let _slow = rig.asked().await;
    rig.send(json!([null, "hb", "phoenix", "heartbeat", {}]));
    rig.expect(taken("r")).await;
    rig.expect(json!([null, "hb", "phoenix", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    rig.request("none", json!({}));
    rig.asked().await.give(Reply::Accepted);
    rig.expect(taken("none")).await;
    rig.request("stream", json!({}));
    let (_items, _) = rig.asked().await.acknowledge(Reply::Stream);
    rig.expect(taken("stream")).await;
    assert_eq!(rig.response().await["async"], true);
    assert!(began.elapsed() < DELAY);
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_room_that_others_need_and_is_not_lost_at_the_end() {
    let few = Options {
        outbox_frames: 4,
        ..options()
    };
    let mut rig = Rig::with(few);
    rig.join("1", "api:x").await;
    let began = Instant::now();
    for id in ["1", "2"] {
        rig.request(id, json!({}));
    }
    // Half of the outbox is full.
    for id in ["1", "2"] {
        rig.expect(taken(id)).await;
    }
    rig.request("3", json!({}));
    rig.text("[]");
    rig.expect(taken("3")).await;
    assert_eq!(u16::from(rig.close_frame().await.code), 1007);
    assert!(began.elapsed() < DELAY);
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_to_leave_is_not_held_again() {
    let few = Options {
        outbox_frames: 4,
        reply_delay: DELAY * 100,
        ..options()
    };
    // One frame fits into the transport.
    let mut rig = Rig::start(few, Vsn::V2, false, 1);
    rig.join("1", "api:x").await;
    let began = Instant::now();
    for id in ["1", "2"] {
        rig.request(id, json!({}));
    }
    sleep(DELAY).await;
    for id in ["1", "2"] {
        rig.expect(taken(id)).await;
    }
    assert!(began.elapsed() < DELAY * 2);
}

#[tokio::test(start_paused = true)]
async fn without_delay_it_leaves_at_once() {
    let at_once = Options {
        reply_delay: Duration::ZERO,
        ..options()
    };
    let mut rig = Rig::with(at_once);
    rig.join("1", "api:x").await;
    let began = Instant::now();
    rig.request("r", json!({}));
    rig.expect(taken("r")).await;
    assert!(began.elapsed() < DELAY);
}
