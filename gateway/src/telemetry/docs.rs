//! The tables of metrics and spans in `docs/telemetry.md`, which a test compares.

use std::fmt::Write as _;

use super::{names, spans};

/// All metrics as a Markdown table.
#[must_use]
pub fn metrics() -> String {
    let mut text = String::from("\n| metric | kind | labels | |\n|---|---|---|---|\n");
    for metric in names::ALL {
        let kind = metric.kind.as_str();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            quoted(metric.labels),
            metric.help
        );
    }
    text.push('\n');
    text
}

/// All spans as a Markdown table.
#[must_use]
pub fn span_kinds() -> String {
    let mut text = String::from("\n| span | parent | fields | events | |\n|---|---|---|---|---|\n");
    for span in spans::ALL {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            span.name,
            span.parent,
            quoted(span.fields),
            quoted(span.events),
            span.help
        );
    }
    text.push('\n');
    text
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
