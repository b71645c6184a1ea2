//! `docs/telemetry.md` lists the metrics, spans and log events that there are.
//!
//! `UPDATE_DOCS=1 cargo test -p sluice-gateway --test telemetry_docs` writes the lists anew.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod events;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sluice_gateway::telemetry::docs::{metrics, span_kinds};

use self::events::Event;

const END: &str = "<!-- end -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn telemetry_md() {
    let path = root().join("docs/telemetry.md");
    let there = std::fs::read_to_string(&path).unwrap();
    let lists = [
        ("metrics", metrics()),
        ("spans", span_kinds()),
        ("events", event_table(&all_events())),
    ];
    let made = lists.iter().fold(there.clone(), |text, (name, list)| {
        let begin = format!("<!-- generated: {name} -->\n");
        let (before, rest) = text.split_once(&begin).expect(name);
        let (_, after) = rest.split_once(END).expect(name);
        format!("{before}{begin}{list}{END}{after}")
    });
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    assert!(
        there == made,
        "docs/telemetry.md is out of date: run UPDATE_DOCS=1 cargo test -p sluice-gateway --test telemetry_docs"
    );
}

fn all_events() -> Vec<Event> {
    let mut all = Vec::new();
    for (folder, of) in [
        ("gateway/src", "sluice_gateway"),
        ("worker-sdk/src", "sluice_worker"),
    ] {
        events::collect(&root().join(folder), of, &mut all);
    }
    assert!(all.len() > 50, "only {} events were found", all.len());
    all
}

/// What operators see without asking for more.
fn event_table(all: &[Event]) -> String {
    let mut text = String::from("\n| level | target | message | fields |\n|---|---|---|---|\n");
    let shown = |event: &&Event| matches!(event.level.as_str(), "info" | "warn" | "error");
    for event in all.iter().filter(shown) {
        let fields: Vec<_> = event.fields.iter().map(|f| format!("`{f}`")).collect();
        let Event {
            level,
            target,
            message,
            ..
        } = event;
        writeln!(
            text,
            "| {level} | `{target}` | {message} | {} |",
            fields.join(", ")
        )
        .unwrap();
    }
    text.push('\n');
    text
}

#[test]
fn messages_are_fixed_texts_and_what_changes_is_a_field() {
    for event in all_events() {
        let message = &event.message;
        assert!(!message.is_empty(), "no message: {event:?}");
        assert!(!message.contains('{'), "a formatted message: {event:?}");
        assert!(!message.ends_with('.'), "a full stop: {event:?}");
        let is_name = ["Redis", "SIGTERM", "TLS"]
            .iter()
            .any(|name| message.starts_with(name));
        let is_lower = !message.starts_with(char::is_uppercase);
        assert!(is_lower || is_name, "an upper-case message: {event:?}");
    }
}

#[test]
fn no_event_has_a_field_for_what_is_secret() {
    let secret = [
        "args",
        "authorization",
        "body",
        "cookie",
        "headers",
        "password",
        "result",
        "secret",
        "token",
    ];
    for event in all_events() {
        let found = event.fields.iter().find(|f| secret.contains(&f.as_str()));
        assert_eq!(found, None, "{event:?}");
    }
}
