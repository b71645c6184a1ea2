//! Who is silent goes, and the brakes on that.

use super::*;
use crate::registry::testing::config_text;

const EXPIRY: Duration = Duration::from_secs(18);

fn crowd(n: usize) -> (Bench, String) {
    let mut bench = Bench::open();
    let text = config_text(&["get", "put"], "");
    for i in 0..n {
        bench.up("users", &format!("i{i}"), &text);
    }
    (bench, text)
}

#[test]
fn one_that_is_silent_expires_and_one_that_beats_does_not() {
    let (mut bench, text) = crowd(2);
    bench.pass_with(EXPIRY - Duration::from_secs(1), &[("users", "i0", &text)]);
    assert_eq!(bench.live("get"), ["i0", "i1"]);
    bench.pass_with(Duration::from_secs(2), &[("users", "i0", &text)]);
    assert_eq!(bench.live("get"), ["i0"]);
    // The last one may go as well.
    bench.pass(EXPIRY + Duration::from_secs(1));
    assert!(bench.live("get").is_empty());
    assert!(bench.function("get", None).is_some());
}

#[test]
fn never_more_than_half_go_at_once() {
    let (mut bench, _) = crowd(9);
    bench.pass(EXPIRY);
    assert_eq!(bench.live("get").len(), 4, "half, rounded up, went");
    assert_eq!(bench.table.status(bench.now).expiry_held_back, 4);
    bench.pass(Duration::from_secs(5));
    assert_eq!(
        bench.live("get").len(),
        4,
        "the others have a heartbeat's time"
    );
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.live("get").len(), 2);
    bench.pass(Duration::from_secs(20));
    assert!(bench.live("get").is_empty());
    assert_eq!(bench.table.status(bench.now).expiry_held_back, 0);
}

#[test]
fn the_brake_counts_each_function_for_itself() {
    let mut bench = Bench::open();
    let (both, one) = (
        config_text(&["get", "put"], "1"),
        config_text(&["get"], "2"),
    );
    for i in 0..2 {
        bench.up("users", &format!("both{i}"), &both);
    }
    for i in 0..6 {
        bench.up("users", &format!("one{i}"), &one);
    }
    bench.pass(EXPIRY);
    // Of `put` one of two, of `get` four of eight.
    assert_eq!(bench.live("put").len(), 1);
    assert_eq!(bench.live("get").len(), 4);
}

#[test]
fn those_that_take_no_calls_need_no_brake() {
    let (mut bench, text) = crowd(4);
    for i in 0..4 {
        bench.say(&heartbeat(
            "users",
            &format!("i{i}"),
            &text,
            InstanceState::Draining,
        ));
    }
    bench.pass(EXPIRY);
    assert!(
        bench.table.status(bench.now).services[0]
            .instances
            .is_empty()
    );
}

#[test]
fn nobody_expires_while_the_broker_is_away_nor_just_after() {
    let (mut bench, text) = crowd(1);
    bench.pass(Duration::from_secs(10));
    bench.table.set_connected(false, bench.now);
    bench.pass(10 * EXPIRY);
    assert_eq!(bench.live("get"), ["i0"]);
    bench.table.set_connected(true, bench.now);
    bench.pass(EXPIRY - Duration::from_secs(1));
    assert_eq!(bench.live("get"), ["i0"], "a full period of grace");
    bench.beat("users", "i0", &text);
    bench.pass(EXPIRY - Duration::from_secs(1));
    assert_eq!(bench.live("get"), ["i0"]);
    bench.pass(Duration::from_secs(1));
    assert!(bench.live("get").is_empty());
}

#[test]
fn a_new_connection_in_place_of_the_old_gives_grace_too() {
    let (mut bench, _) = crowd(1);
    bench.pass(EXPIRY - Duration::from_secs(1));
    bench.table.set_connected(true, bench.now);
    bench.pass(EXPIRY - Duration::from_secs(1));
    assert_eq!(bench.live("get"), ["i0"]);
    bench.pass(Duration::from_secs(1));
    assert!(bench.live("get").is_empty());
}

#[test]
fn nobody_expires_because_the_gateway_itself_stood_still() {
    let (mut bench, _) = crowd(1);
    bench.pass(Duration::from_secs(1));
    // Stopped for a long time, then one tick.
    bench.now += 10 * EXPIRY;
    bench.table.tick(bench.now);
    bench.look();
    assert_eq!(bench.live("get"), ["i0"]);
    bench.pass(EXPIRY - Duration::from_secs(1));
    assert_eq!(bench.live("get"), ["i0"]);
    bench.pass(Duration::from_secs(1));
    assert!(bench.live("get").is_empty());
}

#[test]
fn late_ticks_that_are_no_stall_do_not_put_expiry_off() {
    let (mut bench, _) = crowd(1);
    let mut seconds = 0.0;
    while !bench.live("get").is_empty() {
        bench.now += Duration::from_millis(1900);
        seconds += 1.9;
        bench.table.tick(bench.now);
        bench.look();
        assert!(seconds < 25.0, "expires for all that the ticks are late");
    }
}

#[test]
fn the_second_time_nobody_responds_takes_an_instance_out_until_it_beats() {
    let (mut bench, text) = crowd(2);
    let instance = bench.function("get", None).unwrap().variants[0].instances[0].clone();
    assert_eq!(instance.id.as_str(), "i0");
    instance.suspend(0);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.live("get"), ["i0", "i1"], "once is only passed over");
    instance.suspend(0);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.live("get"), ["i1"]);
    let status = bench.table.status(bench.now);
    assert!(status.services[0].instances[0].silent);
    bench.beat("users", "i0", &text);
    assert_eq!(bench.live("get"), ["i0", "i1"]);
    assert!(instance.is_available(0));
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.live("get"), ["i0", "i1"]);
    // An answer in between: not in a row.
    instance.suspend(0);
    instance.responded();
    instance.suspend(0);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.live("get"), ["i0", "i1"]);
}
