//! What operators decide stands, whatever workers announce.

use std::sync::Arc;

use sluice_protocol::ApiVersion;

use super::*;
use crate::overrides::{Client, Decision, Deprecation, Entry, FunctionKey, Key, Overrides};
use crate::registry::snapshot::Unresolved;
use crate::registry::testing::{config_text, function_name, instance_id};

fn version(text: &str) -> ApiVersion {
    ApiVersion::new(text).unwrap()
}

fn get(version: &str) -> FunctionKey {
    FunctionKey {
        service: service("users"),
        function: function_name("get"),
        version: Some(self::version(version)),
    }
}

fn pin(client: Client, function: Option<&str>, version: &str) -> Decision {
    Decision::Pin {
        client,
        service: service("users"),
        function: function.map(function_name),
        version: version.to_owned(),
    }
}

impl Bench {
    /// These decisions and no others.
    fn decide(&mut self, all: impl IntoIterator<Item = Decision>) {
        let entries = all.into_iter().map(|d| Entry::new(d, "test", 0));
        self.table.set_overrides(Arc::new(Overrides::of(entries)));
        self.look();
    }

    /// The version that a caller gets.
    fn got(&self, named: Option<&str>, user: Option<&str>, key: Option<&str>) -> String {
        let found = self
            .snapshot
            .resolve_for("users", "get", named, (user, key));
        match found {
            Ok(function) => function.version.as_ref().unwrap().to_string(),
            Err(Unresolved::Version(known)) => format!("none of {}", known.join(" ")),
            Err(Unresolved::Function) => "unknown".to_owned(),
        }
    }
}

#[test]
fn a_deleted_version_does_not_come_back_with_its_workers_until_it_is_restored() {
    let mut bench = Bench::open();
    let text = config_text(&["get@1.0.0", "get@2.0.0"], "");
    bench.up("users", "a", &text);
    bench.decide([Decision::Flag(Key::Deleted(get("2.0.0")))]);
    assert_eq!(bench.got(None, None, None), "1.0.0");
    assert_eq!(bench.got(Some("2.0.0"), None, None), "none of 1.0.0");
    bench.up(
        "users",
        "b",
        &config_text(&["get@1.0.0", "get@2.0.0"], "new"),
    );
    assert_eq!(bench.got(Some("2.0.0"), None, None), "none of 1.0.0");
    let both = ["1.0.0", "2.0.0"].map(|v| Decision::Flag(Key::Deleted(get(v))));
    bench.decide(both);
    assert_eq!(bench.got(None, None, None), "unknown");
    bench.decide([]);
    assert_eq!(bench.got(None, None, None), "2.0.0");
}

#[test]
fn the_latest_is_what_an_operator_says_as_long_as_it_takes_calls() {
    let mut bench = Bench::open();
    let text = config_text(&["get@1.0.0", "get@2.0.0", "get@3.0.0-rc.1"], "");
    bench.up("users", "a", &text);
    assert_eq!(bench.got(None, None, None), "2.0.0");
    let latest = |v: &str| Decision::Latest(service("users"), function_name("get"), version(v));
    for chosen in ["1.0.0", "3.0.0-rc.1"] {
        bench.decide([latest(chosen)]);
        assert_eq!(bench.got(None, None, None), chosen);
        assert_eq!(bench.got(Some("0.0.0"), None, None), chosen);
        assert_eq!(bench.got(Some("2.0.0"), None, None), "2.0.0");
    }
    bench.decide([latest("1.0.0"), Decision::Flag(Key::Disabled(get("1.0.0")))]);
    assert_eq!(bench.got(None, None, None), "2.0.0");
    bench.decide([latest("9.0.0")]);
    assert_eq!(bench.got(None, None, None), "2.0.0");
}

#[test]
fn ranges_get_the_newest_within_that_takes_calls() {
    let mut bench = Bench::open();
    let all = [
        "get@1.0.0",
        "get@1.2.0",
        "get@1.3.0-rc.1",
        "get@2.0.0",
        "get@spring",
    ];
    bench.up("users", "a", &config_text(&all, ""));
    for (named, got) in [
        ("^1", "1.2.0"),
        ("1.x", "1.2.0"),
        ("~1.0", "1.0.0"),
        ("*", "2.0.0"),
        ("^1.3.0-rc.1", "1.3.0-rc.1"),
        ("spring", "spring"),
        ("^3", "none of spring 1.0.0 1.2.0 1.3.0-rc.1 2.0.0"),
        ("1", "none of spring 1.0.0 1.2.0 1.3.0-rc.1 2.0.0"),
    ] {
        assert_eq!(bench.got(Some(named), None, None), got, "{named}");
    }
    bench.decide([Decision::Flag(Key::Disabled(get("1.2.0")))]);
    assert_eq!(bench.got(Some("1.x"), None, None), "1.0.0");
    // A version may have a name that looks like a range.
    bench.up("users", "a", &config_text(&["get@1.x", "get@1.5.0"], ""));
    assert_eq!(bench.got(Some("1.x"), None, None), "1.x");
}

#[test]
fn a_pin_decides_for_its_client_only_where_no_version_is_named() {
    let mut bench = Bench::open();
    let text = config_text(&["get@1.0.0", "get@1.1.0", "get@2.0.0", "put@2.0.0"], "");
    bench.up("users", "a", &text);
    let ann = || Client::User("ann".to_owned());
    bench.decide([
        pin(ann(), Some("get"), "^1"),
        pin(Client::ApiKey("k".to_owned()), None, "1.0.0"),
    ]);
    assert_eq!(bench.got(None, Some("ann"), None), "1.1.0");
    assert_eq!(bench.got(Some("2.0.0"), Some("ann"), None), "2.0.0");
    assert_eq!(bench.got(None, Some("bob"), None), "2.0.0");
    assert_eq!(bench.got(None, Some("bob"), Some("k")), "1.0.0");
    assert_eq!(bench.got(None, Some("ann"), Some("k")), "1.1.0");
    // A pin of the service, on a function that lacks the version: the latest.
    let put = bench
        .snapshot
        .resolve_for("users", "put", None, (None, Some("k")));
    assert_eq!(put.unwrap().version, Some(version("2.0.0")));
    // A pin of the function itself says what is missing.
    bench.decide([pin(ann(), Some("get"), "7.0.0")]);
    assert_eq!(
        bench.got(None, Some("ann"), None),
        "none of 1.0.0 1.1.0 2.0.0"
    );
}

#[test]
fn a_drained_instance_gets_no_calls_not_even_by_the_queue_group() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    bench.up("users", "a", &text);
    bench.up("users", "b", &text);
    let drain = |instance: &str| {
        Decision::Flag(Key::Drained {
            service: service("users"),
            instance: instance_id(instance),
        })
    };
    assert!(!bench.function("get", None).unwrap().by_instance);
    bench.decide([drain("a")]);
    assert_eq!(bench.live("get"), ["b"]);
    assert!(bench.function("get", None).unwrap().by_instance);
    bench.beat("users", "a", &text);
    assert_eq!(bench.live("get"), ["b"]);
    let status = bench.table.status(bench.now);
    let instances = &status.services[0].instances;
    assert_eq!((instances[0].live, instances[0].drained), (false, true));
    assert_eq!((instances[1].live, instances[1].drained), (true, false));
    // Who is gone does not listen: the broker may pick again.
    bench.say(&leave("users", "a"));
    assert!(!bench.function("get", None).unwrap().by_instance);
    bench.up("users", "a", &text);
    bench.decide([]);
    assert_eq!(bench.live("get"), ["a", "b"]);
}

#[test]
fn a_deprecated_version_takes_calls_and_has_a_notice() {
    let mut bench = Bench::open();
    bench.up("users", "a", &config_text(&["get@1.0.0", "get@2.0.0"], ""));
    assert!(!bench.snapshot.has_notices);
    let deprecation = Deprecation {
        at: 7,
        sunset: None,
        link: None,
    };
    bench.decide([Decision::Deprecate(get("1.0.0"), deprecation.clone())]);
    assert!(bench.snapshot.has_notices);
    let old = bench.function("get", Some("1.0.0")).unwrap();
    assert!(!old.disabled);
    assert_eq!(old.notice.as_ref().unwrap().deprecation, "@7");
    assert!(bench.function("get", None).unwrap().notice.is_none());
    let status = bench.table.status(bench.now);
    assert_eq!(
        status.services[0].functions[0].deprecated,
        Some(deprecation)
    );
}

#[test]
fn counters_outlive_a_deletion() {
    let mut bench = Bench::open();
    bench.up("users", "a", &config_text(&["get@1.0.0"], ""));
    let before = bench.function("get", None).unwrap().callers.clone();
    bench.decide([Decision::Flag(Key::Deleted(get("1.0.0")))]);
    bench.decide([]);
    let after = &bench.function("get", None).unwrap().callers;
    assert!(Arc::ptr_eq(&before, after));
}
