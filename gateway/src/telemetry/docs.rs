//! The table of metrics in `docs/telemetry.md`, which a test compares.

use std::fmt::Write as _;

use super::names;

/// Where the generated part begins in the document.
pub const BEGIN: &str = "<!-- generated: metrics -->\n";
/// Where it ends.
pub const END: &str = "<!-- end -->\n";

/// All metrics as a Markdown table.
#[must_use]
pub fn metrics() -> String {
    let mut text = String::from("\n| metric | kind | labels | |\n|---|---|---|---|\n");
    for metric in names::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let kind = metric.kind.as_str();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        );
    }
    text.push('\n');
    text
}
