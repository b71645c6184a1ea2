//! Who may register, what is refused, and what an operator sees of it.

use super::*;
use crate::registry::refused::{RefusedFilter, Source};
use crate::registry::testing::config_text;

fn secret(rules: &mut Rules) {
    rules.options.open = false;
    rules.options.secrets = [("users".to_owned(), "s3cret".to_owned())].into();
}

#[test]
fn all_of_a_config_is_taken_or_none() {
    let mut bench = Bench::open();
    let text = r#"{"functions":[{"request_type":"get"},{"request_type":"a","bad":1},{"request_type":"b","bad":1}]}"#;
    let effects = bench.say(&announce("users", "a", text, InstanceState::Starting));
    assert_eq!(refusal(&effects), "a: is bad\nb: is bad");
    assert!(bench.snapshot.services.is_empty());
    let status = bench.table.status(bench.now);
    assert!(status.services.is_empty());
    let refused = &status.refused[0];
    assert_eq!(refused.reasons.len(), 2);
    assert_eq!(refused.source, Source::Announce);
    assert_eq!(refused.instance.as_deref(), Some("a"));
    assert_eq!(refused.config_hash, config_hash(text));
    assert_eq!(refused.config_version.as_deref(), Some("v1"));

    // A worker that runs something else is not touched by it.
    let good = config_text(&["get"], "");
    bench.up("users", "a", &good);
    bench.say(&announce("users", "a", text, READY));
    assert_eq!(bench.live("get"), ["a"]);
}

#[test]
fn refused_configs_are_listed_filtered_cleared_and_forgotten() {
    let mut bench = Bench::open();
    let bad = |mark: &str| format!(r#"{{"functions":[{{"request_type":"x","bad":"{mark}"}}]}}"#);
    for (service, mark) in [("users", "1"), ("users", "2"), ("orders", "1")] {
        bench.say(&announce(service, "a", &bad(mark), READY));
        bench.pass(Duration::from_secs(1));
    }
    let of = |service: &str| RefusedFilter {
        service: Some(service.into()),
        ..RefusedFilter::default()
    };
    let list = |bench: &Bench, filter| bench.table.refused(&filter, bench.now);
    assert_eq!(list(&bench, of("users")).len(), 2);
    let newest = RefusedFilter {
        limit: Some(1),
        ..RefusedFilter::default()
    };
    assert_eq!(list(&bench, newest)[0].service, "orders");
    assert_eq!(bench.table.clear_refused(&of("orders")), 1);
    assert_eq!(list(&bench, RefusedFilter::default()).len(), 2);
    bench.pass(Duration::from_secs(24 * 3600));
    assert!(list(&bench, RefusedFilter::default()).is_empty());
}

#[test]
fn a_config_in_force_is_no_longer_listed_as_refused() {
    let mut bench = Bench::with(|rules| rules.limits.functions = 1);
    let (first, second) = (config_text(&["get"], "1"), config_text(&["put"], "2"));
    bench.up("users", "a", &first);
    let effects = bench.say(&announce("users", "b", &second, READY));
    assert_eq!(
        refusal(&effects),
        "the gateway takes at most 1 functions of all services; that is full"
    );
    bench.say(&leave("users", "a"));
    bench.pass(Duration::from_secs(700));
    assert!(is_accepted(
        &bench.say(&announce("users", "b", &second, READY)),
        &second
    ));
    assert!(bench.table.status(bench.now).refused.is_empty());
}

#[test]
fn a_secret_wants_signatures_with_growing_counters() {
    let mut bench = Bench::with(secret);
    let text = config_text(&["get"], "");
    let hello = announce("users", "a", &text, READY);
    assert!(refusal(&bench.say(&hello)).contains("needs signed messages"));
    assert!(refusal(&bench.signed(&hello, "wrong", "5-x")).contains("same secret"));
    assert!(refusal(&bench.signed(&hello, "s3cret", "x")).contains("<counter>-<random>"));
    assert!(bench.function("get", None).is_none());
    assert!(is_accepted(&bench.signed(&hello, "s3cret", "5-x"), &text));
    assert_eq!(bench.live("get"), ["a"]);

    // Played again, or older: no effect, and no answer to whoever does that.
    bench.signed(&leave("users", "a"), "s3cret", "7-x");
    assert!(bench.live("get").is_empty());
    for nonce in ["5-x", "6-y", "7-z"] {
        assert_eq!(bench.signed(&hello, "s3cret", nonce), Effects::default());
    }
    assert!(bench.live("get").is_empty());
    let denied = bench.table.status(bench.now).denied_messages;
    assert_eq!((denied["signature"], denied["replay"]), (3, 3));

    // Also not after the instance is long forgotten.
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.signed(&hello, "s3cret", "7-x"), Effects::default());
    assert!(is_accepted(&bench.signed(&hello, "s3cret", "8-x"), &text));
    // Counters are each instance's own.
    let other = announce("users", "b", &text, READY);
    assert!(is_accepted(&bench.signed(&other, "s3cret", "1-x"), &text));
}

#[test]
fn a_service_without_secret_needs_an_open_registry() {
    let mut bench = Bench::with(secret);
    let text = config_text(&["get"], "");
    let effects = bench.say(&announce("orders", "a", &text, READY));
    assert!(refusal(&effects).contains("registry.open is off"));
    let effects = bench.signed(&announce("orders", "a", &text, READY), "s3cret", "1-x");
    assert!(refusal(&effects).contains("registry.open is off"));

    let mut bench = Bench::with(|rules| {
        secret(rules);
        rules.options.open = true;
    });
    bench.up("orders", "a", &text);
    let effects = bench.say(&announce("users", "a", &text, READY));
    assert!(
        refusal(&effects).contains("needs signed messages"),
        "open or not"
    );

    let mut bench = Bench::with(|rules| {
        rules.options.secrets = [("users".to_owned(), String::new())].into();
    });
    let effects = bench.signed(&announce("users", "a", &text, READY), "", "1-x");
    assert!(refusal(&effects).contains("is empty"));
}

#[test]
fn answers_to_discover_and_pulls_are_signed_too() {
    let mut bench = Bench::with(secret);
    let text = config_text(&["get"], "");
    let body = heartbeat("users", "a", &text, READY).to_json();
    let sign_for = |subject: &str, body: &[u8]| sign::sign(b"s3cret", subject, "1-x", body);
    let announce_subject = "sluice.registry.announce.users.a";
    let (right, wrong) = (
        sign_for(announce_subject, &body),
        sign_for("_INBOX.gw.d", &body),
    );
    let inbound = |signature| Inbound {
        subject: "_INBOX.gw.d",
        nonce: Some("1-x"),
        signature,
        reply: None,
        body: &body,
    };
    for bad in [None, Some(wrong.as_str())] {
        let effects = bench.table.discovered(inbound(bad), bench.now);
        assert_eq!(effects, Effects::default());
    }
    let effects = bench.table.discovered(inbound(Some(&right)), bench.now);
    let key = key("users", &text);
    assert_eq!(effects.pulls, std::slice::from_ref(&key));

    bench.answer(&key, &text);
    assert!(bench.function("get", None).is_none(), "unsigned");
    assert_eq!(
        bench.pass(Duration::from_secs(1)).pulls,
        std::slice::from_ref(&key)
    );
    let body = Message::Config {
        service: key.service.clone(),
        config_hash: key.hash.clone(),
        config: label(&text),
    }
    .to_json();
    let signature = sign_for(&bench.subjects.pull(&key.service, &key.hash), &body);
    let inbound = Inbound {
        subject: "_INBOX.gw.p",
        nonce: Some("1-x"),
        signature: Some(&signature),
        reply: None,
        body: &body,
    };
    bench.table.pulled(&key, inbound, bench.now);
    bench.look();
    assert_eq!(bench.live("get"), ["a"]);
}

#[test]
fn only_listed_services_register() {
    let mut bench = Bench::with(|rules| rules.options.services = vec!["users".into()]);
    let text = config_text(&["get"], "");
    let effects = bench.say(&announce("orders", "a", &text, READY));
    assert!(refusal(&effects).contains("not in the gateway's registry.services"));
    let effects = bench.say(&heartbeat("orders", "a", &text, READY));
    assert!(effects.pulls.is_empty());
    bench.up("users", "a", &text);
}

#[test]
fn senders_that_are_turned_away_do_not_push_refused_configs_out() {
    let mut bench = Bench::with(secret);
    let bad = r#"{"functions":[{"request_type":"x","bad":1}]}"#;
    bench.signed(&announce("users", "a", bad, READY), "s3cret", "1-x");
    for i in 0..5000 {
        bench.say(&announce("users", &format!("i{i}"), bad, READY));
    }
    let all = bench.table.refused(&RefusedFilter::default(), bench.now);
    assert!(all.len() <= 101);
    assert!(all.iter().any(|r| r.source == Source::Announce));
}

#[test]
fn idle_configs_make_way_for_new_ones_and_live_ones_do_not() {
    let mut bench = Bench::with(|rules| rules.limits.configs_per_service = 2);
    let texts = ["1", "2", "3"].map(|mark| config_text(&["get"], mark));
    bench.up("users", "a", &texts[0]);
    bench.up("users", "b", &texts[1]);
    let effects = bench.say(&announce("users", "c", &texts[2], READY));
    assert!(refusal(&effects).contains("at most 2 configs of this service"));
    bench.say(&leave("users", "a"));
    bench.pass_with(Duration::from_secs(20), &[("users", "b", &texts[1])]);
    bench.up("users", "c", &texts[2]);
    assert_eq!(bench.live("get"), ["b", "c"]);
}
