//! Who holds a call: beats, probes, broken connections.

use sluice_protocol::{ErrorCode, Executed, Payload};
use tokio::time::Instant;

use crate::dispatch::broker::Outgoing;
use crate::dispatch::fake::{Rig, beat, call, result, spec};
use crate::dispatch::mailbox::Delivery;
use sluice_protocol::Frame;

fn pong(rig: &Rig, ping: &Outgoing<'_>, holds: bool) {
    let body = if holds {
        r#"{"holds":true}"#
    } else {
        r#"{"holds":false}"#
    };
    rig.reply(ping, Frame::Result(Payload::json(body)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_group_is_asked_and_whoever_holds_the_call_keeps_it() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    let pings = [rig.sent().await, rig.sent().await];
    assert_eq!(
        pings.each_ref().map(|p| &*p.subject),
        ["sluice.inst.s.a.ping", "sluice.inst.s.b.ping"]
    );
    pong(&rig, &pings[0], false);
    pong(&rig, &pings[1], true);
    // Now the holder is known, and it alone is asked.
    let again = rig.sent().await;
    assert_eq!(again.subject, "sluice.inst.s.b.ping");
    pong(&rig, &again, true);
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_gone_is_worker_lost_within_two_seconds() {
    let mut rig = Rig::new(spec(), &["a"]);
    let started = Instant::now();
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, beat("a", 0));
    let ping = rig.sent().await;
    rig.deliver(&ping, Delivery::NoResponders);
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::WorkerLost, Executed::Unknown)
    );
    assert!(started.elapsed().as_millis() < 2000);
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_fails_over() {
    let mut spec = spec();
    spec.idempotent = true;
    let mut rig = Rig::new(spec, &["a", "b"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, beat("a", 0));
    let ping = rig.sent().await;
    rig.deliver(&ping, Delivery::NoResponders);
    let second = rig.sent().await;
    assert_eq!(second.subject, "sluice.inst.s.b.=.f");
    rig.reply(&second, result("1"));
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_never_answers_is_given_up_after_three_probes() {
    let mut rig = Rig::new(spec(), &["a"]);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, beat("a", 0));
    for _ in 0..3 {
        assert_eq!(rig.sent().await.subject, "sluice.inst.s.a.ping");
    }
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::WorkerLost
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_holds_is_lost_once_that_was_said_twice() {
    let mut rig = Rig::new(spec(), &["a", "b"]);
    let running = rig.start(call("{}"));
    rig.sent().await;
    for _ in 0..2 {
        for _ in 0..2 {
            let ping = rig.sent().await;
            pong(&rig, &ping, false);
        }
    }
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::WorkerLost
    );
}

#[tokio::test(start_paused = true)]
async fn without_connection_calls_are_refused_at_once() {
    let mut rig = Rig::new(spec(), &["a"]);
    rig.set_connected(false);
    let error = rig.start(call("{}")).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::BrokerUnavailable, Executed::No)
    );
    assert!(rig.sent_now().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_waited_for_and_repeatable_calls_are_sent_again() {
    for idempotent in [false, true] {
        let mut spec = spec();
        spec.idempotent = idempotent;
        spec.timeout = sluice_protocol::function::Timeout::Millis(60_000);
        let mut rig = Rig::new(spec, &["a", "b"]);
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.set_connected(false);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        rig.set_connected(true);
        if idempotent {
            let again = rig.sent_call().await;
            rig.reply(&again, result("1"));
            assert!(running.await.unwrap().is_ok());
        } else {
            let broken = Instant::now();
            let error = running.await.unwrap().unwrap_err();
            assert_eq!(
                (error.code, error.executed),
                (ErrorCode::WorkerLost, Executed::Unknown)
            );
            assert!(broken.elapsed().as_secs() <= 5);
            drop(message);
        }
    }
}
