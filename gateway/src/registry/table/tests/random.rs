//! Any sequence of messages: no panic, and the snapshot is always consistent with the table.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::registry::testing::{config_text, function_name};

const SERVICES: [&str; 2] = ["users", "orders"];
const INSTANCES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The configs that random workers run; the last is refused.
fn texts() -> Vec<String> {
    vec![
        config_text(&["get", "put@1.0.0"], "1"),
        config_text(&["get", "get@2.0.0", "put@1.0.0"], "2"),
        config_text(&["list"], "3"),
        r#"{"functions":[{"request_type":"x","bad":1}]}"#.to_owned(),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Announce(usize, usize, usize, InstanceState, bool),
    Heartbeat(usize, usize, usize, InstanceState),
    Leave(usize, usize),
    Answer(usize, usize, usize),
    Bytes(Vec<u8>),
    Mutated(usize, usize),
    Pass(u64),
    Jump(u64),
    Connected(bool),
    Disable(usize, bool),
    Suspend,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        1 => Just(InstanceState::Starting),
        3 => Just(InstanceState::Ready),
        1 => Just(InstanceState::Draining),
    ];
    let (s, i, c) = (0..SERVICES.len(), 0..INSTANCES.len(), 0..4usize);
    prop_oneof![
        4 => (s.clone(), i.clone(), c.clone(), state.clone(), any::<bool>())
            .prop_map(|(s, i, c, state, force)| Step::Announce(s, i, c, state, force)),
        6 => (s.clone(), i.clone(), c.clone(), state)
            .prop_map(|(s, i, c, state)| Step::Heartbeat(s, i, c, state)),
        2 => (s.clone(), i).prop_map(|(s, i)| Step::Leave(s, i)),
        3 => (s.clone(), c.clone(), c.clone()).prop_map(|(s, k, c)| Step::Answer(s, k, c)),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Step::Bytes),
        2 => (c, 0..400usize).prop_map(|(c, at)| Step::Mutated(c, at)),
        3 => (1..30_000u64).prop_map(Step::Pass),
        1 => (1..2_000_000u64).prop_map(Step::Jump),
        1 => any::<bool>().prop_map(Step::Connected),
        1 => (s, any::<bool>()).prop_map(|(s, on)| Step::Disable(s, on)),
        1 => Just(Step::Suspend),
        1 => Just(Step::Clear),
    ]
}

fn take(bench: &mut Bench, step: Step, texts: &[String]) {
    match step {
        Step::Announce(s, i, c, state, force) => {
            let Message::Announce {
                instance, config, ..
            } = announce(SERVICES[s], INSTANCES[i], &texts[c], state)
            else {
                unreachable!()
            };
            let effects = bench.say(&Message::Announce {
                instance,
                config,
                force,
            });
            assert_eq!(effects.replies.len(), 1, "each announce is answered");
        }
        Step::Heartbeat(s, i, c, state) => {
            let message = heartbeat(SERVICES[s], INSTANCES[i], &texts[c], state);
            assert!(bench.say(&message).replies.is_empty());
        }
        Step::Leave(s, i) => drop(bench.say(&leave(SERVICES[s], INSTANCES[i]))),
        Step::Answer(s, k, c) => drop(bench.answer(&key(SERVICES[s], &texts[k]), &texts[c])),
        Step::Bytes(bytes) => drop(bench.raw("sluice.registry.announce.users.a", &bytes)),
        Step::Mutated(c, at) => {
            let mut body = announce("users", "a", &texts[c], READY).to_json();
            let at = at % body.len();
            body[at] ^= 1;
            bench.raw("sluice.registry.announce.users.a", &body);
        }
        Step::Pass(ms) => drop(bench.pass(Duration::from_millis(ms))),
        Step::Jump(ms) => {
            bench.now += Duration::from_millis(ms);
            bench.table.tick(bench.now);
        }
        Step::Connected(connected) => bench.table.set_connected(connected, bench.now),
        Step::Disable(s, disabled) => {
            let id = (function_name("get"), None);
            bench
                .table
                .set_disabled(&service(SERVICES[s]), &id, disabled);
        }
        Step::Suspend => {
            let functions = bench.snapshot.services.values().flat_map(HashMap::values);
            let variants = functions
                .flat_map(|f| &f.versions)
                .flat_map(|f| &f.variants);
            for instance in variants.flat_map(|v| &v.instances).take(1) {
                instance.suspend(0);
            }
        }
        Step::Clear => drop(bench.table.clear_refused(&Default::default())),
    }
    bench.look();
}

/// Each live instance stands in exactly one variant of each function of its config, and nobody
/// else stands anywhere; everything is in order and nothing stands twice.
fn check(bench: &Bench, texts: &[String]) {
    let mut wanted = HashSet::new();
    for status in bench.table.status(bench.now).services {
        for instance in status.instances.iter().filter(|i| i.live) {
            let text = texts
                .iter()
                .find(|t| config_hash(t) == instance.config_hash);
            let config = parse(&service(&status.service), text.unwrap()).unwrap();
            for f in config.functions {
                let hash = instance.config_hash.clone();
                wanted.insert((f.label(), hash, instance.instance.clone()));
            }
        }
    }
    let mut found = HashSet::new();
    for (service, functions) in &bench.snapshot.services {
        assert!(!functions.is_empty());
        for (name, all) in functions {
            assert!(!all.versions.is_empty());
            assert!(all.versions.is_sorted_by(|a, b| a.version < b.version));
            for function in &all.versions {
                assert_eq!((&function.service, &function.request_type), (service, name));
                assert!(!function.variants.is_empty());
                assert!(
                    function
                        .variants
                        .is_sorted_by(|a, b| a.config_hash < b.config_hash)
                );
                let live = function.variants.iter().filter(|v| !v.instances.is_empty());
                assert!(function.variants.len() == 1 || live.count() == function.variants.len());
                for variant in &function.variants {
                    assert_eq!(variant.spec.version, function.version);
                    assert!(variant.instances.is_sorted_by(|a, b| a.id < b.id));
                    for instance in &variant.instances {
                        let hash = variant.config_hash.clone();
                        let entry = (variant.spec.label(), hash, instance.id.to_string());
                        assert!(found.insert(entry), "stands twice");
                    }
                }
            }
        }
    }
    assert_eq!(found, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_leaves_a_consistent_snapshot(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let texts = texts();
        let mut bench = Bench::open();
        for step in steps {
            take(&mut bench, step, &texts);
            check(&bench, &texts);
        }
    }

    #[test]
    fn bytes_of_strangers_have_no_effect(
        subject in "(sluice\\.registry\\.announce\\.)?[a-z.*>= ]{0,20}",
        reply in proptest::option::of("(_INBOX)?[ -~]{0,20}"),
        nonce in proptest::option::of("[ -~]{0,12}"),
        signature in proptest::option::of("[0-9a-f]{0,70}"),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bench = Bench::with(|rules| {
            rules.options.secrets = [("users".to_owned(), "s".to_owned())].into();
        });
        let inbound = Inbound {
            subject: &subject,
            reply: reply.as_deref(),
            nonce: nonce.as_deref(),
            signature: signature.as_deref(),
            body: &body,
        };
        bench.inbound(inbound);
        bench.table.discovered(inbound, bench.now);
        prop_assert!(bench.snapshot.services.is_empty());
        prop_assert!(bench.table.status(bench.now).services.is_empty());
    }
}
