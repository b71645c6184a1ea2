use serde_json::Value;

use super::*;
use crate::dispatch::fake::call;

fn of_user(user: &str) -> Filter {
    Filter {
        user: Some(user.to_owned()),
        ..Filter::default()
    }
}

fn from(user: &str) -> Call {
    let mut call = call("{}");
    call.identity.user_id = Some(user.into());
    call
}

fn read(line: &Bytes) -> Value {
    serde_json::from_slice(line).unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_the_calls_of_the_filter_carry_a_trace_and_only_in_its_time() {
    let tracer = Tracer::of("g");
    let mut events = tracer
        .start("t", of_user("u1"), Duration::from_secs(5))
        .unwrap();
    let (mut mine, mut other) = (from("u1"), from("u2"));
    tracer.mark(&mut mine);
    tracer.mark(&mut other);
    assert!(other.caller.traced.is_none());
    let traced = mine.caller.traced.unwrap();
    traced.say(
        "attempt",
        serde_json::json!({"instance": "i", "gateway": "forged"}),
    );
    let first = read(&events.recv().await.unwrap());
    assert_eq!(
        (&first["event"], &first["user"]),
        (&"received".into(), &"u1".into())
    );
    let second = read(&events.recv().await.unwrap());
    assert_eq!(
        (&second["instance"], &second["gateway"]),
        (&"i".into(), &"g".into())
    );

    tokio::time::advance(Duration::from_secs(6)).await;
    let mut late = from("u1");
    tracer.mark(&mut late);
    assert!(late.caller.traced.is_none());
}

#[tokio::test]
async fn a_reader_that_is_gone_or_slow_costs_nothing_but_its_events() {
    let tracer = Tracer::of("g");
    let events = tracer.start("t", of_user("u1"), LONGEST).unwrap();
    let mut call = from("u1");
    tracer.mark(&mut call);
    let traced = call.caller.traced.unwrap();
    for _ in 0..2 * WAITING {
        traced.say("x", Value::Null);
    }
    let dropped = traced.watches[0].dropped.load(Ordering::Relaxed);
    assert_eq!(dropped, u64::try_from(WAITING).unwrap() + 1);
    drop(events);
    traced.say("x", Value::Null);
}

#[test]
fn traces_are_few_and_about_something() {
    let tracer = Tracer::default();
    let mut open = Vec::new();
    for i in 0..MAX_TRACES {
        open.push(tracer.start(&i.to_string(), of_user("u"), LONGEST).unwrap());
    }
    assert!(tracer.start("one more", of_user("u"), LONGEST).is_err());
    tracer.stop("0");
    assert!(tracer.start("one more", of_user("u"), LONGEST).is_ok());
    assert!(Filter::default().check().is_err());
    let function = Filter {
        function: Some("f".to_owned()),
        ..Filter::default()
    };
    assert!(function.check().is_err());
    assert!(of_user("u").check().is_ok());
}
