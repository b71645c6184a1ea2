//! `docs/telemetry.md` lists the metrics that there are.
//!
//! `UPDATE_DOCS=1 cargo test -p sluice-gateway --test telemetry_docs` writes the list anew.

use std::path::Path;

use sluice_gateway::telemetry::docs::{BEGIN, END, metrics};

#[test]
fn telemetry_md() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/telemetry.md");
    let there = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(BEGIN).expect("the list's begin");
    let (_, after) = rest.split_once(END).expect("the list's end");
    let made = format!("{before}{BEGIN}{}{END}{after}", metrics());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    assert!(
        there == made,
        "docs/telemetry.md is out of date: run UPDATE_DOCS=1 cargo test -p sluice-gateway --test telemetry_docs"
    );
}
