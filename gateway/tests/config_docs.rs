//! The generated pages in the repository are what the source makes.
//!
//! `UPDATE_DOCS=1 cargo test -p sluice-gateway --test config_docs` writes them anew.

use std::path::Path;

use sluice_gateway::{cli, config};

fn compare(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        if let Err(error) = std::fs::write(&path, made) {
            panic!("cannot write {}: {error}", path.display());
        }
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = there
        .lines()
        .zip(made.lines())
        .position(|(a, b)| a != b)
        .unwrap_or_else(|| there.lines().count().min(made.lines().count()));
    assert!(
        there == made,
        "{name} is out of date from line {}: run UPDATE_DOCS=1 cargo test -p sluice-gateway \
         --test config_docs",
        differing + 1
    );
}

#[test]
fn configuration_md() {
    compare("docs/configuration.md", &config::docs::reference());
}

#[test]
fn example_toml() {
    compare("sluice.example.toml", &config::docs::example());
}

#[test]
fn cli_md() {
    compare("docs/cli.md", &cli::docs::command_line());
}
