//! Breakers and bulkheads around calls.

use std::time::Duration;

use sluice_protocol::function::{ChooseNodeMode, FunctionSpec, ResponseType, Timeout};
use sluice_protocol::response::Answer;
use sluice_protocol::retry::{Retry, RetryMode};
use sluice_protocol::{CallError, ErrorCode, Executed, Frame};

use crate::config::Config;
use crate::dispatch::fake::{Rig, accepted, call, error, item, result, spec};
use crate::dispatch::guards::{Breakers, Bulkheads, Guarded};
use crate::dispatch::mailbox::Delivery;
use crate::hooks::Callbacks;
use crate::reply::Reply;
use crate::telemetry::names::Series;

fn three_failures(config: &mut Config) {
    config.breaker.failures = 3;
    config.breaker.open = Duration::from_secs(5);
}

fn rig(spec: FunctionSpec, instances: &[&str]) -> Rig {
    Rig::with(vec![spec], instances, Callbacks::default(), three_failures)
}

fn breakers(rig: &Rig) -> Breakers {
    let mut config = Config::default();
    three_failures(&mut config);
    Breakers::new(rig.registry.clone(), rig.clock, config.breaker)
}

fn failure(status: u16) -> CallError {
    let mut failure =
        CallError::new(ErrorCode::WorkerError, "no").with_executed(Executed::Yes, false);
    failure.status = Some(status);
    failure
}

async fn fails(rig: &mut Rig, status: u16, instance: &str) {
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, error(failure(status), instance));
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::WorkerError
    );
}

async fn refused(rig: &mut Rig) -> CallError {
    let error = rig.start(call("{}")).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::CircuitOpen, Executed::No)
    );
    assert!(error.can_retry);
    assert!(rig.sent_now().is_none(), "nothing was sent");
    error
}

/// A plain responder has no instances: only its function's breaker counts.
#[tokio::test(start_paused = true)]
async fn a_function_that_fails_is_refused_at_once_and_heals_by_one_probe() {
    let mut rig = rig(spec(), &[]);
    for _ in 0..3 {
        fails(&mut rig, 500, "").await;
    }
    let error = refused(&mut rig).await;
    assert_eq!(error.details.unwrap()["retry_after_ms"], 5000);
    let listed = breakers(&rig).list();
    assert_eq!((listed.len(), listed[0].state), (1, "open"));
    tokio::time::advance(Duration::from_secs(5)).await;
    // The probe is out: the others are still refused.
    let probe = rig.start(call("{}"));
    let message = rig.sent().await;
    refused(&mut rig).await;
    assert_eq!(breakers(&rig).list()[0].state, "half_open");
    rig.reply(&message, result("1"));
    assert!(probe.await.unwrap().is_ok());
    for (series, changes) in [
        (Series::BreakerFunctionOpened, 1),
        (Series::BreakerFunctionClosed, 1),
        (Series::BreakerInstanceClosed, 0),
    ] {
        assert_eq!(rig.recorder.meters.get(series), changes, "{series:?}");
    }
    assert!(breakers(&rig).list().is_empty());
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_goes_away_leaves_the_next_one_to_try() {
    let mut rig = rig(spec(), &[]);
    for _ in 0..3 {
        fails(&mut rig, 500, "").await;
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    let probe = rig.start(call("{}"));
    rig.sent().await;
    probe.abort();
    assert!(probe.await.is_err());
    let running = rig.start(call("{}"));
    let message = rig.sent_call().await;
    rig.reply(&message, error(failure(500), ""));
    assert!(running.await.unwrap().is_err());
    refused(&mut rig).await;
}

/// A stream may go on for hours.
#[tokio::test(start_paused = true)]
async fn a_stream_heals_with_its_first_item() {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    let mut rig = rig(spec, &[]);
    for _ in 0..3 {
        fails(&mut rig, 500, "").await;
    }
    refused(&mut rig).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    let probe = rig.start(call("{}"));
    let message = rig.sent().await;
    refused(&mut rig).await;
    rig.reply(&message, item(1));
    let _stream = probe.await.unwrap().unwrap();
    assert!(breakers(&rig).list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_place_no_longer_than_for_its_first_item() {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    spec.timeout = Timeout::Millis(1000);
    spec.max_in_flight = Some(1);
    spec.max_queue = Some(1);
    let mut rig = rig(spec, &[]);
    let first = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, item(1));
    let Ok(Reply::Stream(mut answers)) = first.await.unwrap() else {
        panic!("no stream");
    };
    let keep = tokio::spawn(async move { while answers.next().await.is_some() {} });
    let second = rig.start(call("{}"));
    for seq in 2..5 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        rig.reply(&message, item(seq));
    }
    let error = second.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Overloaded, Executed::No)
    );
    keep.abort();
}

#[tokio::test(start_paused = true)]
async fn what_counts_as_a_failure_and_what_does_not() {
    // (what the worker does, its client's timeout_ms, whether three of it open the breaker)
    let overloaded = CallError::new(ErrorCode::Overloaded, "full");
    let rows: Vec<(&str, Option<Delivery>, Option<u64>, bool)> = vec![
        (
            "an error 500",
            Some(Delivery::Frame(error(failure(500), ""))),
            None,
            true,
        ),
        (
            "an error 503",
            Some(Delivery::Frame(error(failure(503), ""))),
            None,
            true,
        ),
        (
            "an error 404",
            Some(Delivery::Frame(error(failure(404), ""))),
            None,
            false,
        ),
        (
            "nonsense",
            Some(Delivery::Malformed("x".into())),
            None,
            true,
        ),
        ("silence", None, None, true),
        (
            "silence that its client wants short",
            None,
            Some(200),
            false,
        ),
        (
            "silence for more than half of its time",
            None,
            Some(2600),
            true,
        ),
        ("nobody there", Some(Delivery::NoResponders), None, false),
        (
            "a full worker",
            Some(Delivery::Frame(error(overloaded, ""))),
            None,
            false,
        ),
    ];
    for (name, delivery, timeout_ms, opens) in rows {
        let mut rig = rig(spec(), &[]);
        for _ in 0..3 {
            let mut request = call("{}");
            request.timeout_ms = timeout_ms;
            let running = rig.start(request);
            let message = rig.sent().await;
            if let Some(delivery) = delivery.clone() {
                rig.deliver(&message, delivery);
            }
            assert!(running.await.unwrap().is_err(), "{name}");
        }
        let open = breakers(&rig).list().iter().any(|b| b.state == "open");
        assert_eq!(open, opens, "{name}");
    }
}

/// A call that is answered after a while.
async fn answered(rig: &mut Rig, after_ms: u64, timeout_ms: Option<u64>) {
    let mut request = call("{}");
    request.timeout_ms = timeout_ms;
    let running = rig.start(request);
    let message = rig.sent_call().await;
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
}

/// A call that nobody answers in the time that its client gives.
async fn hurried(rig: &mut Rig, timeout_ms: u64) {
    let mut request = call("{}");
    request.timeout_ms = Some(timeout_ms);
    let running = rig.start(request);
    rig.sent_call().await;
    assert_eq!(running.await.unwrap().unwrap_err().code, ErrorCode::Timeout);
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_always_in_a_hurry_open_a_circuit_as_far_as_they_wait() {
    // (how long answers take, what clients wait, whether three of their timeouts open the breaker);
    // the function says that it needs 5 s.
    let rows = [
        (20, 200, true),
        (20, 99, false),
        (50, 200, true),
        (51, 200, false),
        (400, 1599, false),
        (400, 1600, true),
        (1000, 2400, false),
        (1000, 2500, true),
    ];
    for (takes, waits, opens) in rows {
        let mut rig = rig(spec(), &[]);
        answered(&mut rig, takes, None).await;
        for _ in 0..3 {
            hurried(&mut rig, waits).await;
        }
        let open = breakers(&rig).list().iter().any(|b| b.state == "open");
        assert_eq!(open, opens, "{takes} ms, {waits} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_in_a_hurry_closes_opens_or_is_given_back() {
    let opened = async || {
        let mut rig = rig(spec(), &[]);
        answered(&mut rig, 50, None).await;
        for _ in 0..3 {
            fails(&mut rig, 500, "").await;
        }
        refused(&mut rig).await;
        tokio::time::advance(Duration::from_secs(5)).await;
        rig
    };
    let mut rig = opened().await;
    answered(&mut rig, 10, Some(60)).await;
    assert!(breakers(&rig).list().is_empty(), "closed");
    let mut rig = opened().await;
    hurried(&mut rig, 200).await;
    refused(&mut rig).await;
    // What says nothing is given back, as often as it may be; then one that says something.
    let mut rig = opened().await;
    for _ in 0..5 {
        hurried(&mut rig, 60).await;
    }
    answered(&mut rig, 50, None).await;
    assert!(breakers(&rig).list().is_empty(), "closed");
}

/// Plays one call: `a` fails as told, the others answer. Returns where it went.
async fn play(rig: &mut Rig, a_fails: bool) -> String {
    let running = rig.start(call("{}"));
    let message = rig.sent_call().await;
    if a_fails && message.subject.contains(".a.") {
        rig.reply(&message, error(failure(500), "a"));
    } else {
        rig.reply(&message, result("1"));
    }
    let _ = running.await.unwrap();
    message.subject.into_owned()
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_is_passed_over_until_its_probe() {
    let mut spec = spec();
    spec.choose_node_mode = ChooseNodeMode::RoundRobin;
    let mut rig = rig(spec, &["a", "b"]);
    for _ in 0..6 {
        play(&mut rig, true).await;
    }
    let listed = breakers(&rig).list();
    let a = Guarded::Instance {
        service: "s".into(),
        instance: "a".into(),
    };
    let open: Vec<_> = listed.iter().filter(|b| b.state == "open").collect();
    assert_eq!(
        (open.len(), &open[0].guarded),
        (1, &a),
        "half of all calls are well: {listed:?}"
    );
    for _ in 0..4 {
        assert_eq!(play(&mut rig, true).await, "sluice.inst.s.b.=.f");
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    let mut seen = [play(&mut rig, false).await, play(&mut rig, false).await];
    seen.sort();
    assert_eq!(seen, ["sluice.inst.s.a.=.f", "sluice.inst.s.b.=.f"]);
    assert!(rig.instances[0].breaker.is_closed());
}

/// Its instances serve other functions, too.
#[tokio::test(start_paused = true)]
async fn a_function_that_fails_everywhere_takes_no_instance_with_it() {
    let mut spec = spec();
    spec.choose_node_mode = ChooseNodeMode::RoundRobin;
    let mut rig = rig(spec, &["a", "b"]);
    for who in ["a", "b", "a"] {
        fails(&mut rig, 500, who).await;
    }
    refused(&mut rig).await;
    assert!(rig.instances.iter().all(|i| i.breaker.is_closed()));
}

#[tokio::test(start_paused = true)]
async fn random_calls_leave_the_queue_group_while_an_instance_is_suspect() {
    let mut spec = spec();
    spec.idempotent = true;
    let mut rig = rig(spec, &["a", "b"]);
    let group = "sluice.call.s.=.f";
    assert_eq!(play(&mut rig, true).await, group);
    // Whoever holds it is `a`, which is lost; each call fails over to `b`.
    for _ in 0..100 {
        if !rig.instances[0].breaker.is_closed() {
            break;
        }
        let running = rig.start(call("{}"));
        let mut message = rig.sent_call().await;
        if !message.subject.contains(".b.") {
            rig.reply(&message, crate::dispatch::fake::beat("a", 0));
            // Nobody answers the probes.
            message = rig.sent_call().await;
        }
        assert_eq!(message.subject, "sluice.inst.s.b.=.f");
        rig.reply(&message, result("1"));
        assert!(running.await.unwrap().is_ok());
    }
    for _ in 0..10 {
        assert_eq!(play(&mut rig, true).await, "sluice.inst.s.b.=.f");
    }
    let breakers = breakers(&rig);
    assert_eq!(breakers.list().len(), 1, "the function itself is well");
    breakers.reset_all();
    assert_eq!(play(&mut rig, false).await, group);
}

#[tokio::test(start_paused = true)]
async fn all_instances_open_is_circuit_open() {
    let mut config = Config::default();
    three_failures(&mut config);
    for mode in [
        ChooseNodeMode::Random,
        ChooseNodeMode::RoundRobin,
        ChooseNodeMode::Hash,
    ] {
        let mut spec = spec();
        spec.choose_node_mode = mode;
        let mut rig = rig(spec, &["a", "b"]);
        for (instance, wait) in rig.instances.iter().zip([0, 1000]) {
            tokio::time::advance(Duration::from_millis(wait)).await;
            while instance.breaker.is_closed() {
                instance.breaker.record(false, rig.clock, &config.breaker);
            }
        }
        let error = refused(&mut rig).await;
        assert_eq!(
            error.details.unwrap()["retry_after_ms"],
            4000,
            "the first that may be tried"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_retry_into_an_open_circuit() {
    let mut spec = spec();
    spec.retry = Some(Retry {
        mode: RetryMode::AllNodes,
        attempts: 5,
    });
    let mut rig = rig(spec, &[]);
    let mut retryable = failure(500);
    retryable.can_retry = true;
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    for _ in 0..3 {
        fails(&mut rig, 500, "").await;
    }
    rig.reply(&message, error(retryable, ""));
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::WorkerError
    );
    assert!(rig.sent_now().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_lets_so_many_in_and_queues_so_many_in_their_order() {
    let mut spec = spec();
    spec.max_in_flight = Some(1);
    spec.max_queue = Some(2);
    let mut rig = rig(spec, &["a"]);
    let first = rig.start(call(r#"{"n":1}"#));
    let running = rig.sent().await;
    let second = rig.start(call(r#"{"n":2}"#));
    tokio::task::yield_now().await;
    let third = rig.start(call(r#"{"n":3}"#));
    tokio::task::yield_now().await;
    let error = rig.start(call(r#"{"n":4}"#)).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Overloaded, Executed::No)
    );
    assert!(error.can_retry);
    assert!(rig.sent_now().is_none(), "they wait");
    let listed = Bulkheads::new(rig.registry.clone()).list();
    assert_eq!((listed[0].in_flight, listed[0].waiting), (1, 2));
    rig.reply(&running, result("1"));
    assert!(first.await.unwrap().is_ok());
    for (call, body) in [(second, r#"{"n":2}"#), (third, r#"{"n":3}"#)] {
        let message = rig.sent().await;
        assert_eq!(message.body, body);
        assert!(rig.sent_now().is_none());
        rig.reply(&message, result("1"));
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(Bulkheads::new(rig.registry.clone()).list()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_or_goes_away_never_ran() {
    let mut spec = spec();
    spec.max_in_flight = Some(1);
    spec.max_queue = Some(2);
    spec.timeout = Timeout::Millis(1000);
    let mut rig = rig(spec, &[]);
    let first = rig.start(call("{}"));
    let message = rig.sent().await;
    let gone = rig.start(call("{}"));
    tokio::task::yield_now().await;
    let mut hasty = call("{}");
    hasty.timeout_ms = Some(200);
    let hasty = rig.start(hasty);
    tokio::task::yield_now().await;
    gone.abort();
    let error = hasty.await.unwrap().unwrap_err();
    assert_eq!(
        (error.code, error.executed),
        (ErrorCode::Overloaded, Executed::No)
    );
    rig.reply(&message, result("1"));
    assert!(first.await.unwrap().is_ok());
    let again = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    assert!(again.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn async_calls_and_streams_hold_their_place_until_they_end() {
    for kind in [ResponseType::Async, ResponseType::Stream] {
        let mut spec = spec();
        spec.response_type = kind;
        spec.max_in_flight = Some(1);
        let mut rig = rig(spec, &["a"]);
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.reply(&message, accepted("a"));
        if kind == ResponseType::Stream {
            rig.reply(&message, item(1));
        }
        let Ok(Reply::Async(mut answers) | Reply::Stream(mut answers)) = running.await.unwrap()
        else {
            panic!("no ack");
        };
        let error = rig.start(call("{}")).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::Overloaded, "{kind:?}");
        if kind == ResponseType::Stream {
            assert!(matches!(answers.next().await, Some(Answer::Item { .. })));
            rig.reply(&message, Frame::End { count: 1 });
        } else {
            rig.reply(&message, result("1"));
        }
        assert!(answers.next().await.is_some_and(|a| a.is_final()));
        let running = rig.start(call("{}"));
        let message = rig.sent_call().await;
        rig.reply(&message, accepted("a"));
        let reply = running.await.unwrap();
        assert!(reply.is_ok(), "{kind:?}");
        // So does a client that goes away.
        drop(reply);
        crate::dispatch::fake::settle().await;
        let running = rig.start(call("{}"));
        rig.sent_call().await;
        running.abort();
    }
}
