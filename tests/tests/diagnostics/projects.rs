//! Commands that need no gateway: new projects, completion.

use std::path::Path;
use std::process::Command;

use sluice_e2e::binaries;

use crate::told;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[tokio::test]
async fn a_new_worker_compiles_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binaries::ours("sluice").unwrap());
    command.args(["new", "worker", "greeter", "--json", "--into"]);
    command
        .arg(folder.path())
        .arg("--sdk")
        .arg(root().join("worker-sdk"));
    let (code, out, err) = told(&command.output().unwrap());
    assert_eq!(code, 0, "{out}{err}");
    let project = folder.path().join("greeter");
    // The versions that are here already: nothing is fetched.
    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["check", "--offline", "--tests"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", root().join("target/new-worker"))
        .env("RUSTFLAGS", "-D warnings");
    let checked = tokio::task::spawn_blocking(move || cargo.output().unwrap());
    let (code, out, err) = told(&checked.await.unwrap());
    assert_eq!(code, 0, "{out}{err}");

    let again = Command::new(binaries::ours("sluice").unwrap())
        .args(["new", "worker", "greeter", "--into"])
        .arg(folder.path())
        .output();
    assert_eq!(told(&again.unwrap()).0, 1);
}

#[test]
fn shells_get_their_scripts() {
    for (shell, part) in [
        ("bash", "_sluice"),
        ("zsh", "#compdef sluice"),
        ("fish", "complete -c sluice"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let mut command = Command::new(binaries::ours("sluice").unwrap());
        let (code, out, err) = told(&command.args(["completion", shell]).output().unwrap());
        assert_eq!(code, 0, "{err}");
        assert!(out.contains(part) && out.contains("explain"), "{shell}");
    }
}
