//! What calls leave behind in the metrics, through a whole pipeline.

use std::sync::Arc;

use sluice_protocol::function::{FunctionSpec, ResponseType};
use sluice_protocol::{Frame, FunctionName};

use super::*;
use crate::config::Config;
use crate::dispatch::fake::{Rig, accepted, call, item, result, spec};
use crate::reply::Reply;

fn rig(spec: FunctionSpec) -> (Rig, Arc<Telemetry>) {
    measured(Rig::new(spec, &["a"]), true)
}

fn measured(rig: Rig, instance_series: bool) -> (Rig, Arc<Telemetry>) {
    let config = Config::default();
    let telemetry = Telemetry::new(Sources {
        registry: rig.registry.clone(),
        health: Arc::default(),
        capacity: Arc::new(Capacity::new(&config)),
        breakers: Breakers::new(rig.registry.clone(), rig.clock, config.breaker.clone()),
        limiter: Arc::new(Limiter::in_memory(&[], &config.limits)),
        identifier: Arc::new(Identifier::new(&config)),
        tracing: None,
        access_log: false,
    });
    let telemetry = Arc::new(telemetry.with_instance_series(instance_series));
    telemetry.watch(rig.inbox.clone());
    let recorder = telemetry.recorder(0);
    (rig.recorded_by(recorder), telemetry)
}

/// The values of these series in a scrape.
#[track_caller]
fn has(telemetry: &Arc<Telemetry>, lines: &[&str]) {
    let text = telemetry.scrape().unwrap();
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "no {line:?} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_count_by_function_and_outcome() {
    let (mut rig, telemetry) = rig(spec());
    for _ in 0..2 {
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        has(
            &telemetry,
            &[r#"sluice_calls_in_flight{service="s",function="f",version=""} 1"#],
        );
        rig.reply(&message, result("1"));
        running.await.unwrap().unwrap();
    }
    let mut bad = call("{}");
    bad.request_type = FunctionName::new("made up by \"somebody\"").unwrap();
    rig.pipeline.run(bad).await.unwrap_err();
    // Nobody answers, and then the client is gone.
    let running = rig.start(call("{}"));
    rig.sent().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    has(
        &telemetry,
        &[
            r#"sluice_calls_total{service="s",function="f",version="",code="ok"} 2"#,
            r#"sluice_calls_total{service="s",function="f",version="",code="cancelled"} 1"#,
            r#"sluice_calls_total{service="_unknown",function="_unknown",version="",code="unknown_function"} 1"#,
            r#"sluice_calls_in_flight{service="s",function="f",version=""} 0"#,
            r#"sluice_call_duration_seconds_count{service="s",function="f",version=""} 3"#,
        ],
    );
    assert!(!telemetry.scrape().unwrap().contains("somebody"));
    telemetry.tick();
    let stats = telemetry.stats();
    let function = &stats.services["s"].functions[0];
    assert_eq!((function.calls_total, function.rate_1s), (3, 3.0));
    assert_eq!(function.by_code["ok"], 2);
    assert_eq!(stats.services[names::UNKNOWN].functions[0].calls_total, 1);
}

#[tokio::test(start_paused = true)]
async fn streams_are_open_until_their_end_and_items_count() {
    let mut spec = spec();
    spec.response_type = ResponseType::Stream;
    let (mut rig, telemetry) = rig(spec);
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    let Ok(Reply::Stream(mut answers)) = running.await.unwrap() else {
        panic!("no stream");
    };
    has(&telemetry, &["sluice_streams_open 1"]);
    for seq in 1..=3 {
        rig.reply(&message, item(seq));
        answers.next().await.unwrap();
    }
    rig.reply(&message, Frame::End { count: 3 });
    assert!(answers.next().await.unwrap().is_final());
    has(
        &telemetry,
        &[
            "sluice_streams_open 0",
            r#"sluice_stream_items_total{service="s",function="f",version=""} 3"#,
            r#"sluice_calls_total{service="s",function="f",version="",code="ok"} 1"#,
            r#"sluice_instance_attempts_total{service="s",instance="a",outcome="ok"} 1"#,
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_scrape_is_well_formed_and_lists_every_metric() {
    let (rig, telemetry) = rig(spec());
    rig.inbox
        .deliver(b"nobody", crate::dispatch::mailbox::Delivery::NoResponders);
    let text = telemetry.scrape().unwrap();
    assert!(text.ends_with("# EOF\n"));
    for metric in names::ALL {
        let family = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let line = format!("# TYPE {family} {}\n", metric.kind.as_str());
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    has(
        &telemetry,
        &[r#"sluice_replies_dropped_total{reason="unknown"} 1"#],
    );
}

#[tokio::test(start_paused = true)]
async fn series_by_instance_may_be_left_out_and_the_last_minute_is_told_all_the_same() {
    for wanted in [true, false] {
        let mut spec = spec();
        spec.response_type = ResponseType::Stream;
        let (mut rig, telemetry) = measured(Rig::new(spec, &["a"]), wanted);
        let running = rig.start(call("{}"));
        let message = rig.sent().await;
        rig.reply(&message, accepted("a"));
        let Ok(Reply::Stream(mut answers)) = running.await.unwrap() else {
            panic!("no stream");
        };
        rig.reply(&message, Frame::End { count: 0 });
        assert!(answers.next().await.unwrap().is_final());
        let text = telemetry.scrape().unwrap();
        let series = text.contains(r#"instance="a""#);
        assert_eq!(series, wanted, "{text}");
        let traffic = |telemetry: &Telemetry| {
            let instance = telemetry.stats().services.remove("s").unwrap().instances;
            let one = instance.into_iter().next().unwrap();
            (one.calls, one.rate_1m > 0.0, one.error_rate)
        };
        telemetry.tick();
        assert_eq!(traffic(&telemetry), (1, true, 0.0));
        // A minute later, and the step of the samples.
        (0..66).for_each(|_| telemetry.tick());
        assert_eq!(traffic(&telemetry), (1, false, 0.0));
    }
}

#[test]
fn requests_of_operators_count_by_action_and_status() {
    let (_, telemetry) = {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _enter = runtime.enter();
        rig(spec())
    };
    telemetry.admin_request("limits:write".to_owned(), 200);
    telemetry.admin_request("limits:write".to_owned(), 200);
    telemetry.admin_request("limits:write".to_owned(), 403);
    has(
        &telemetry,
        &[
            r#"sluice_admin_requests_total{action="limits:write",status="200"} 2"#,
            r#"sluice_admin_requests_total{action="limits:write",status="403"} 1"#,
            r#"sluice_hook_duration_seconds_count{phase="before"} 0"#,
        ],
    );
}
