//! Configs that heartbeats name are asked for: once, again with growing waits, never in a crowd.

use super::*;
use crate::registry::testing::config_text;

fn beat(bench: &mut Bench, instance: &str, text: &str) -> Vec<ConfigKey> {
    bench.say(&heartbeat("users", instance, text, READY)).pulls
}

#[test]
fn an_unknown_hash_is_pulled_once_and_binds_all_that_name_it() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    let key = key("users", &text);
    assert_eq!(beat(&mut bench, "a", &text), std::slice::from_ref(&key));
    assert!(beat(&mut bench, "b", &text).is_empty(), "one in flight");
    assert!(bench.function("get", None).is_none());
    assert_eq!(bench.answer(&key, &text), Effects::default());
    assert_eq!(bench.live("get"), ["a", "b"]);
    assert!(!bench.table.is_pulling_any());
    assert!(beat(&mut bench, "c", &text).is_empty());
    assert_eq!(bench.live("get"), ["a", "b", "c"]);
    // Nothing was asked: an answer now changes nothing.
    bench.answer(&key, &text);
    assert_eq!(bench.live("get"), ["a", "b", "c"]);
}

#[test]
fn answers_to_discover_are_heartbeats() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    let body = heartbeat("users", "a", &text, READY).to_json();
    let inbound = Inbound {
        subject: "_INBOX.gw.d",
        reply: Some(INBOX),
        body: &body,
        ..Inbound::default()
    };
    let effects = bench.table.discovered(inbound, bench.now);
    assert_eq!(effects.pulls, [key("users", &text)]);
    assert!(effects.replies.is_empty());
    for other in [
        announce("users", "b", &text, READY),
        leave("users", "a"),
        Message::Discover {
            gateway: "x".into(),
        },
    ] {
        let body = other.to_json();
        let inbound = Inbound {
            body: &body,
            ..inbound
        };
        assert_eq!(
            bench.table.discovered(inbound, bench.now),
            Effects::default()
        );
    }
    bench.answer(&key("users", &text), &text);
    assert_eq!(bench.live("get"), ["a"]);
}

#[test]
fn an_unanswered_pull_is_repeated_with_growing_waits_while_it_is_named() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    let start = bench.now;
    beat(&mut bench, "a", &text);
    let mut asked = vec![0];
    while bench.now < start + Duration::from_secs(120) {
        let again = beat(&mut bench, "a", &text);
        let pulls = bench.pass(Duration::from_millis(500)).pulls;
        for _ in again.iter().chain(&pulls) {
            asked.push((bench.now - start).as_millis());
        }
    }
    // 2 s for the answer, then 0.25, 0.5, 1, 2 … s of waiting, up to the next tick.
    let waits: Vec<_> = asked.windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(
        waits,
        [2500, 2500, 3000, 4000, 6000, 10_000, 18_000, 34_000],
        "{asked:?}"
    );
    // Nobody names it any more.
    bench.say(&leave("users", "a"));
    let late = bench.pass(Duration::from_secs(200)).pulls;
    assert!(late.len() <= 1, "{late:?}");
    assert!(!bench.table.is_pulling_any());
}

#[test]
fn nobody_there_and_a_wrong_answer_count_as_failures() {
    let mut bench = Bench::open();
    let (text, other) = (config_text(&["get"], "1"), config_text(&["get"], "2"));
    let key = key("users", &text);
    beat(&mut bench, "a", &text);
    bench.table.pull_failed(&key, bench.now);
    assert!(!bench.table.is_pulling(&key));
    assert_eq!(
        bench.pass(Duration::from_secs(1)).pulls,
        std::slice::from_ref(&key)
    );
    bench.answer(&key, &other);
    assert!(!bench.table.is_pulling(&key), "that was another config");
    assert_eq!(
        bench.pass(Duration::from_secs(2)).pulls,
        std::slice::from_ref(&key)
    );
    // The right name on the wrong text.
    let body = Message::Config {
        service: key.service.clone(),
        config_hash: key.hash.clone(),
        config: label(&other),
    }
    .to_json();
    let inbound = Inbound {
        body: &body,
        ..Inbound::default()
    };
    bench.table.pulled(&key, inbound, bench.now);
    bench.look();
    assert!(bench.function("get", None).is_none());
    let refused = bench.table.status(bench.now).refused;
    assert!(
        refused
            .iter()
            .any(|r| r.reasons[0].message.contains("does not have the hash"))
    );
}

#[test]
fn a_config_that_is_refused_is_not_asked_for_again_for_a_while() {
    let mut bench = Bench::open();
    let text = r#"{"functions":[{"request_type":"get","bad":1}]}"#;
    let key = key("users", text);
    beat(&mut bench, "a", text);
    bench.answer(&key, text);
    for _ in 0..50 {
        assert!(beat(&mut bench, "a", text).is_empty());
        assert!(bench.pass(Duration::from_secs(5)).pulls.is_empty());
    }
    // An operator who clears the list wants to see it tried again.
    assert_eq!(bench.table.clear_refused(&Default::default()), 1);
    assert_eq!(beat(&mut bench, "a", text), [key]);
}

#[test]
fn pulls_in_flight_are_bounded_and_a_new_connection_starts_them_anew() {
    let mut bench = Bench::with(|rules| rules.limits.pulls = 3);
    let texts: Vec<_> = (0..8)
        .map(|i| config_text(&["get"], &i.to_string()))
        .collect();
    let mut asked = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        asked.extend(beat(&mut bench, &format!("i{i}"), text));
    }
    assert_eq!(asked.len(), 3);
    bench.table.set_connected(false, bench.now);
    bench.table.set_connected(true, bench.now);
    let mut open = bench.pass(Duration::from_millis(500)).pulls;
    assert_eq!(open.len(), 3, "what was in flight is lost");
    let mut answered = 0;
    while let Some(key) = open.pop() {
        let text = texts.iter().find(|t| config_hash(t) == key.hash).unwrap();
        open.extend(bench.answer(&key, text).pulls);
        answered += 1;
    }
    assert_eq!(answered, 8);
    assert_eq!(bench.live("get").len(), 8);
}

#[test]
fn what_drains_is_not_worth_a_pull() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    let effects = bench.say(&heartbeat("users", "a", &text, InstanceState::Draining));
    assert_eq!(effects, Effects::default());
}
