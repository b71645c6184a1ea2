//! Messages that no honest worker sends: a clear denial, never a panic, never an effect.

use super::*;
use crate::registry::testing::config_text;

const SUBJECT: &str = "sluice.registry.announce.users.a";

/// Nothing of it may have had an effect.
fn assert_untouched(bench: &Bench) {
    let status = bench.table.status(bench.now);
    assert!(status.services.is_empty(), "{:?}", status.services);
    assert!(bench.snapshot.services.is_empty());
    assert!(!bench.table.is_pulling_any());
}

#[test]
fn broken_messages_are_refused_with_the_reason() {
    let text = config_text(&["get"], "");
    let good = String::from_utf8(announce("users", "a", &text, READY).to_json()).unwrap();
    let hash = config_hash(&text);
    let beat = |hash: &str| {
        format!(
            r#"{{"type":"heartbeat","protocol":1,"service":"users","instance":"a","config_hash":"{hash}","state":"ready"}}"#
        )
    };
    let many = format!("[{}]", vec!["\"x\""; 33].join(","));
    let long = format!("[\"{}\"]", "x".repeat(65));
    let deep = format!(r#"{{"type":{}"#, "[".repeat(100_000));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "must be a JSON object"),
        (b"\xff\xfe".to_vec(), "must be a JSON object"),
        (b"[]".to_vec(), "must be a JSON object"),
        (b"{}".to_vec(), "\"type\" is missing"),
        (deep.into_bytes(), ""),
        (
            br#"{"type":"evil","protocol":1}"#.to_vec(),
            "unknown message type",
        ),
        (beat("").into_bytes(), "config_hash"),
        (beat("a.>").into_bytes(), "config_hash"),
        (beat(&hash.to_uppercase()).into_bytes(), "config_hash"),
        (beat(&hash).replace("ready", "odd").into_bytes(), "state"),
        (
            good.replace("\"state\"", "\"stat\"").into_bytes(),
            "\"state\" is missing",
        ),
        (
            good.replacen('{', "{\"extra\":1,", 1).into_bytes(),
            "unknown field \"extra\"",
        ),
        (
            good.replace(r#"["beat","cancel"]"#, &many).into_bytes(),
            "at most 32 names",
        ),
        (
            good.replace(r#"["beat","cancel"]"#, &long).into_bytes(),
            "at most 64 bytes",
        ),
        (
            good.replace(&hash, &"0".repeat(32)).into_bytes(),
            "does not have the hash",
        ),
        (
            good.replace("\"v1\"", &format!("\"{}\"", "v".repeat(129)))
                .into_bytes(),
            "config_version",
        ),
        (
            good.replace("users", "other").into_bytes(),
            "its subject does not",
        ),
        (
            good.replace(r#""a""#, r#""b""#).into_bytes(),
            "its subject does not",
        ),
        (
            Message::Discover {
                gateway: "x".into(),
            }
            .to_json(),
            "only announce",
        ),
        (
            Message::Accepted {
                gateway: "x".into(),
                config_hash: hash.clone(),
            }
            .to_json(),
            "only announce",
        ),
    ];
    for (body, expected) in cases {
        let mut bench = Bench::open();
        let effects = bench.raw(SUBJECT, &body);
        let text = refusal(&effects);
        assert!(text.contains(expected), "{text} does not say {expected}");
        assert!(text.len() < 2000, "{}", text.len());
        assert_untouched(&bench);
    }
    let mut bench = Bench::open();
    assert!(is_accepted(&bench.raw(SUBJECT, good.as_bytes()), &text));
}

#[test]
fn sizes_are_bounded() {
    let mut bench = Bench::open();
    let big = config_text(&["get"], &"x".repeat(1 << 20));
    let effects = bench.say(&announce("users", "a", &big, READY));
    assert!(refusal(&effects).contains("must be at most 1048576 bytes"));
    let padded = |message: &Message| {
        let mut body = message.to_json();
        body.extend(vec![b' '; 4096]);
        body
    };
    let text = config_text(&["get"], "");
    for message in [heartbeat("users", "a", &text, READY), leave("users", "a")] {
        let effects = bench.raw(SUBJECT, &padded(&message));
        assert!(refusal(&effects).contains("must be at most 4096 bytes"));
    }
    assert_untouched(&bench);
    assert_eq!(
        bench.table.status(bench.now).denied_messages["too_large"],
        3
    );
}

#[test]
fn strange_subjects_name_nobody() {
    let text = config_text(&["get"], "");
    let body = announce("users", "a", &text, READY).to_json();
    for subject in [
        "",
        "sluice.registry.announce",
        "sluice.registry.announce.users",
        "sluice.registry.announce.users.a.b",
        "sluice.registry.announce.=75sers.a",
        "other.registry.announce.users.a",
        "sluice.registry.announce.users.=",
    ] {
        let mut bench = Bench::open();
        let effects = bench.raw(subject, &body);
        assert!(
            refusal(&effects).contains("its subject does not"),
            "{subject}"
        );
        assert_untouched(&bench);
    }
}

#[test]
fn only_inboxes_are_answered() {
    let text = config_text(&["get"], "");
    let body = announce("users", "a", &text, READY).to_json();
    let long = format!("_INBOX.{}", "x".repeat(600));
    let reply_to = |reply: &str| {
        let mut bench = Bench::open();
        let effects = bench.inbound(Inbound {
            subject: SUBJECT,
            reply: Some(reply),
            body: &body,
            ..Inbound::default()
        });
        assert_eq!(bench.live("get"), ["a"], "taken all the same");
        effects.replies.len()
    };
    for bad in [
        "sluice.registry.announce.users.b",
        "sluice.gateway.event",
        "$SYS.x",
        "_INBOX",
        "_INBOX.",
        "_INBOX..x",
        "_INBOX.>",
        "_INBOX.a b",
        &long,
    ] {
        assert_eq!(reply_to(bad), 0, "{bad}");
    }
    for good in ["_INBOX.x", "_INBOX_users.a.b"] {
        assert_eq!(reply_to(good), 1, "{good}");
    }
}

#[test]
fn crowds_are_bounded() {
    let mut bench = Bench::with(|rules| {
        rules.limits.instances_per_service = 3;
        rules.limits.instances = 5;
        rules.limits.services = 3;
        rules.limits.functions_per_config = 2;
    });
    let text = config_text(&["get"], "");
    let mut say = |service: &str, instance: &str, text: &str| {
        bench.say(&announce(service, instance, text, READY))
    };
    for i in 0..3 {
        assert!(is_accepted(&say("users", &i.to_string(), &text), &text));
    }
    assert!(refusal(&say("users", "3", &text)).contains("3 instances of one service"));
    assert!(
        is_accepted(&say("users", "2", &text), &text),
        "known ones stay"
    );
    assert!(is_accepted(&say("b", "1", &text), &text));
    assert!(is_accepted(&say("c", "1", &text), &text));
    assert!(refusal(&say("c", "2", &text)).contains("5 instances;"));
    assert!(refusal(&say("d", "1", &text)).contains("3 services"));
    let three = config_text(&["a", "b", "c"], "");
    assert!(refusal(&say("users", "0", &three)).contains("at most 2 functions, this one has 3"));
    let twice = config_text(&["a", "a"], "");
    assert!(refusal(&say("users", "0", &twice)).contains("users.a: stands twice"));
}

#[test]
fn bytes_of_all_configs_are_bounded() {
    let text = config_text(&["get"], "");
    let mut bench = Bench::with(|rules| rules.limits.config_bytes = 90);
    bench.up("users", "a", &text);
    let effects = bench.say(&announce(
        "users",
        "b",
        &config_text(&["get"], &"x".repeat(60)),
        READY,
    ));
    assert!(refusal(&effects).contains("bytes of all configs"));
    // The same config forced again does not count twice.
    let Message::Announce {
        instance, config, ..
    } = announce("users", "a", &text, READY)
    else {
        unreachable!()
    };
    let force = Message::Announce {
        instance,
        config,
        force: true,
    };
    for _ in 0..10 {
        assert!(is_accepted(&bench.say(&force), &text));
    }
}

#[test]
fn fields_of_a_newer_protocol_are_left_out() {
    let mut bench = Bench::open();
    let text = config_text(&["get"], "");
    let body = String::from_utf8(announce("users", "a", &text, READY).to_json()).unwrap();
    let newer = body.replace("\"protocol\":1", "\"protocol\":2,\"colour\":\"red\"");
    assert!(is_accepted(&bench.raw(SUBJECT, newer.as_bytes()), &text));
    assert_eq!(bench.live("get"), ["a"]);
}
