//! Instances come, change and go; configs with them.

use std::sync::atomic::Ordering;

use super::*;
use crate::config::FixedFunction;
use crate::registry::fixed;
use crate::registry::testing::{config_text, function_name};

#[test]
fn only_ready_instances_take_calls() {
    let mut bench = Bench::open();
    let text = config_text(&["get", "get@1.0.0", "put"], "");
    let effects = bench.say(&announce("users", "a", &text, InstanceState::Starting));
    assert!(is_accepted(&effects, &text));
    assert!(
        bench.live("get").is_empty(),
        "known, but nobody takes calls"
    );
    assert_eq!(bench.function("get", None).unwrap().variants.len(), 1);

    bench.beat("users", "a", &text);
    assert_eq!(bench.live("get"), ["a"]);
    let versions = &bench.snapshot.services["users"]["get"].versions;
    assert_eq!(versions.len(), 2);
    assert_eq!(
        versions[0].version, None,
        "the one without version is first"
    );
    assert_eq!(versions[0].call_subject, "sluice.call.users.=.get");
    assert_eq!(versions[1].call_subject, "sluice.call.users.1_0_0.get");
    let shared = &versions[1].variants[0].instances[0];
    assert_eq!(shared.capacity.load(Ordering::Relaxed), 10);
    assert_eq!(shared.reported_in_flight.load(Ordering::Relaxed), 3);
    assert!(shared.beats && shared.cancel && !shared.credit);
}

#[test]
fn draining_and_leaving_take_effect_at_once() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    bench.up("users", "b", &text);
    bench.say(&heartbeat("users", "a", &text, InstanceState::Draining));
    assert_eq!(bench.live("get"), ["b"]);
    bench.say(&leave("users", "b"));
    assert!(bench.live("get").is_empty());
    bench.say(&leave("users", "nobody"));

    let states = |b: &Bench| b.table.status(b.now).services[0].instances.len();
    assert_eq!(states(&bench), 2, "an operator sees them go");
    bench.pass(Duration::from_secs(19));
    assert_eq!(states(&bench), 0);
    assert!(bench.function("get", None).is_some());
}

#[test]
fn a_function_stays_known_for_a_while_after_its_last_instance() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    bench.say(&leave("users", "a"));
    bench.pass(Duration::from_secs(18 + 595));
    let function = bench.function("get", None).unwrap();
    assert_eq!(function.variants.len(), 1);
    bench.pass(Duration::from_secs(10));
    assert!(bench.function("get", None).is_none());
    assert!(bench.snapshot.services.is_empty());
    assert!(bench.table.status(bench.now).services.is_empty());
    // And nothing hinders it from coming back.
    bench.up("users", "a", &text);
    assert_eq!(bench.live("get"), ["a"]);
}

#[test]
fn a_rolling_deploy_has_both_configs_and_ends_with_the_new_one() {
    let mut bench = Bench::open();
    let (old, new) = (
        config_text(&["get", "old"], "1"),
        config_text(&["get"], "2"),
    );
    bench.up("users", "a", &old);
    bench.up("users", "b", &old);
    bench.up("users", "c", &new);
    let function = bench.function("get", None).unwrap();
    let mut parts: Vec<_> = function
        .variants
        .iter()
        .map(|v| (v.config_hash.clone(), v.instances.len()))
        .collect();
    let mut wanted = vec![(config_hash(&old), 2), (config_hash(&new), 1)];
    parts.sort();
    wanted.sort();
    assert_eq!(parts, wanted);
    let status = bench.table.status(bench.now);
    assert!(status.services[0].mixed_config);

    bench.say(&leave("users", "a"));
    bench.say(&leave("users", "b"));
    assert_eq!(bench.live("get"), ["c"]);
    assert_eq!(bench.function("get", None).unwrap().variants.len(), 1);
    assert!(!bench.table.status(bench.now).services[0].mixed_config);
    // What only the old config has is known still, and nobody serves it.
    assert!(bench.function("old", None).is_some());
    assert!(bench.live("old").is_empty());
    bench.pass_with(Duration::from_secs(640), &[("users", "c", &new)]);
    assert!(bench.function("old", None).is_none());
    assert_eq!(bench.live("get"), ["c"]);
}

#[test]
fn an_instance_is_bound_to_what_its_heartbeats_name() {
    let mut bench = Bench::open();
    let (one, two) = (config_text(&["get"], "1"), config_text(&["put"], "2"));
    bench.up("users", "a", &one);
    bench.up("users", "b", &two);
    bench.beat("users", "a", &two);
    assert!(bench.live("get").is_empty());
    assert_eq!(bench.live("put"), ["a", "b"]);
    // Back again: no clock and no order of versions is needed.
    bench.beat("users", "a", &one);
    assert_eq!(bench.live("get"), ["a"]);
}

#[test]
fn after_the_last_instance_the_last_config_that_was_used_stays() {
    let mut bench = Bench::open();
    let (old, new) = (config_text(&["get"], "1"), config_text(&["get"], "2"));
    bench.up("users", "a", &old);
    bench.pass(Duration::from_secs(1));
    bench.up("users", "b", &new);
    bench.say(&leave("users", "a"));
    bench.say(&leave("users", "b"));
    let variants = &bench.function("get", None).unwrap().variants;
    assert_eq!(variants.len(), 1);
    assert_eq!(variants[0].config_hash, config_hash(&new));
}

#[test]
fn counters_outlive_snapshots() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    let function = bench.function("get", None).unwrap().clone();
    function.round_robin.store(41, Ordering::Relaxed);
    let instance = function.variants[0].instances[0].clone();
    instance.in_flight.store(7, Ordering::Relaxed);
    bench.up("users", "b", &text);
    let function = bench.function("get", None).unwrap();
    assert_eq!(function.round_robin.load(Ordering::Relaxed), 41);
    assert!(Arc::ptr_eq(&function.variants[0].instances[0], &instance));
    // A heartbeat with other features is another worker behind the same name.
    let Message::Heartbeat(mut other) = heartbeat("users", "a", &text, READY) else {
        unreachable!()
    };
    other.features.clear();
    bench.say(&Message::Heartbeat(other));
    let function = bench.function("get", None).unwrap();
    assert!(!Arc::ptr_eq(&function.variants[0].instances[0], &instance));
    assert!(!function.variants[0].instances[0].beats);
}

#[test]
fn heartbeats_that_say_nothing_new_make_no_snapshot() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    let message = heartbeat("users", "a", &text, READY);
    let (subject, body) = (bench.subject(&message), message.to_json());
    let inbound = Inbound {
        subject: &subject,
        body: &body,
        ..Inbound::default()
    };
    bench.table.announced(inbound, bench.now);
    assert!(bench.table.take_snapshot().is_none());
}

#[test]
fn a_known_hash_is_not_parsed_again_unless_forced() {
    use std::cell::Cell;
    thread_local!(static PARSED: Cell<u32> = const { Cell::new(0) });
    let mut bench = Bench::with(|rules| {
        rules.parse = Box::new(|service, text| {
            PARSED.set(PARSED.get() + 1);
            parse(service, text)
        });
    });
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    bench.up("users", "b", &text);
    assert_eq!(PARSED.get(), 1);
    let Message::Announce {
        instance, config, ..
    } = announce("users", "b", &text, READY)
    else {
        unreachable!()
    };
    let forced = Message::Announce {
        instance,
        config,
        force: true,
    };
    assert!(is_accepted(&bench.say(&forced), &text));
    assert_eq!(PARSED.get(), 2);
    assert_eq!(bench.live("get"), ["a", "b"]);
}

#[test]
fn an_operators_switch_survives_announces_and_restarts_of_workers() {
    let mut bench = Bench::open();
    let text = config_text(&["get", "put"], "");
    let get = (function_name("get"), None);
    let users = service("users");
    assert!(
        !bench.table.set_disabled(&users, &get, true),
        "not known yet"
    );
    bench.up("users", "a", &text);
    assert!(bench.function("get", None).unwrap().disabled);
    assert!(!bench.function("put", None).unwrap().disabled);
    bench.up("users", "b", &config_text(&["get"], "2"));
    assert!(bench.function("get", None).unwrap().disabled);
    let status = bench.table.status(bench.now);
    assert!(status.services[0].functions[0].disabled_by_operator);
    assert!(bench.table.set_disabled(&users, &get, false));
    bench.look();
    assert!(!bench.function("get", None).unwrap().disabled);
}

#[test]
fn what_all_live_configs_disable_is_disabled() {
    let mut bench = Bench::open();
    let off = r#"{"functions":[{"request_type":"get","disabled":true}]}"#;
    bench.up("users", "a", off);
    assert!(bench.function("get", None).unwrap().disabled);
    bench.up("users", "b", &config_text(&["get"], ""));
    assert!(
        !bench.function("get", None).unwrap().disabled,
        "each variant says for itself"
    );
}

#[test]
fn fixed_functions_are_there_from_the_start_and_belong_to_the_config_file() {
    let tables = [FixedFunction {
        service: "users".into(),
        subject: "legacy.time".into(),
        headers: false,
        spec: serde_json::json!({ "request_type": "time" }),
    }];
    let mut bench = Bench::with(|rules| rules.fixed = fixed::parse(&tables, &|_| None).unwrap());
    let function = bench.function("time", None).unwrap();
    assert_eq!(
        function.variants[0].fixed_subject.as_deref(),
        Some("legacy.time")
    );
    assert_eq!(function.variants[0].config_hash, fixed::CONFIG_FILE);
    assert!(function.variants[0].bare);

    let effects = bench.say(&announce(
        "users",
        "a",
        &config_text(&["get", "time"], ""),
        READY,
    ));
    let text = refusal(&effects);
    assert!(
        text.starts_with("users.time: is defined in the gateway's own config file"),
        "{text}"
    );
    assert!(
        bench.function("get", None).is_none(),
        "none of the config is taken"
    );

    bench.up("users", "a", &config_text(&["get"], ""));
    assert!(bench.function("time", None).is_some());
    assert_eq!(bench.live("get"), ["a"]);
    let status = bench.table.status(bench.now);
    let names: Vec<_> = status.services[0]
        .functions
        .iter()
        .map(|f| &f.request_type)
        .collect();
    assert_eq!(names, ["get", "time"]);
}
