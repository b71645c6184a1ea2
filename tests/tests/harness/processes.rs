//! Child processes, their logs, and waiting.

use std::net::SocketAddr;
use std::process::Command;

use sluice_e2e::process::Process;
use sluice_e2e::{eventually, eventually_within};

use crate::SHORT;

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn("script", command).unwrap()
}

#[tokio::test]
async fn a_line_is_found_on_either_stream_and_before_it_was_asked_for() {
    let process =
        shell("echo one; echo two >&2; sleep 0.1; echo 'listening on http://127.0.0.1:80'");
    assert_eq!(
        process
            .wait_line("two", |line| line == "two")
            .await
            .unwrap(),
        "two"
    );
    assert_eq!(
        process
            .wait_line("one", |line| line == "one")
            .await
            .unwrap(),
        "one"
    );
    let address = process.wait_address("listening on http://").await.unwrap();
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 80)));
    assert!(process.wait_exit().await.unwrap().success());
    assert_eq!(process.log().count(|_| true), 3);
}

#[tokio::test]
async fn a_missing_line_fails_with_the_end_of_the_log() {
    let alive = shell("echo working on it; exec sleep 60");
    alive
        .wait_line("first line", |line| !line.is_empty())
        .await
        .unwrap();
    let error = alive
        .wait_line_within(SHORT, "ready line", |line| line == "ready")
        .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no ready line within 300ms"), "{error}");
    assert!(error.contains("working on it"), "{error}");

    let dead = shell("echo bad config; exit 64");
    let error = dead
        .wait_line("ready line", |line| line == "ready")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("ended without ready line"),
        "{error}"
    );
    assert!(error.to_string().contains("bad config"), "{error}");
}

#[tokio::test]
async fn terminate_lets_a_process_drain_and_kill9_does_not() {
    let trap = "trap 'echo drained; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let polite = shell(trap);
    polite.wait_line("up", |line| line == "up").await.unwrap();
    polite.drain().await.unwrap();
    assert_eq!(polite.log().count(|line| line == "drained"), 1);
    assert!(
        polite
            .terminate()
            .unwrap_err()
            .to_string()
            .contains("ended with")
    );

    let killed = shell(trap);
    killed.wait_line("up", |line| line == "up").await.unwrap();
    killed.kill9().unwrap();
    assert!(!killed.wait_exit().await.unwrap().success());
    assert_eq!(killed.log().count(|line| line == "drained"), 0);
}

#[tokio::test]
async fn a_frozen_process_stands_still_and_goes_on_when_thawed() {
    let state = |process: &Process| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
        stat.rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next())
            .unwrap()
    };
    let process = shell("exec sleep 60");
    process.freeze().await.unwrap();
    eventually("stopped", || std::future::ready(state(&process) == 'T'))
        .await
        .unwrap();
    process.thaw().unwrap();
    eventually("running", || std::future::ready(state(&process) == 'S'))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = shell("exec sleep 60");
    let proc_dir = format!("/proc/{}", process.pid());
    assert!(std::fs::exists(&proc_dir).unwrap());
    drop(process);
    assert!(!std::fs::exists(&proc_dir).unwrap());
}

#[tokio::test]
async fn eventually_yields_the_value_and_fails_with_place_and_last_reason() {
    let mut looks = 0;
    let value = eventually("third look", || {
        looks += 1;
        std::future::ready(if looks == 3 {
            Ok(Some("seen"))
        } else {
            Err("too early")
        })
    });
    assert_eq!(value.await.unwrap(), "seen");

    let never = || std::future::ready(Err::<(), _>("still two workers"));
    let error = eventually_within(SHORT, "three workers", never)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("tests/harness/processes.rs:"), "{error}");
    assert!(error.contains("three workers: not within 300ms"), "{error}");
    assert!(error.ends_with("last look: still two workers"), "{error}");
}

#[tokio::test]
async fn eventually_does_not_hang_with_its_condition() {
    let error = eventually_within(SHORT, "answer", std::future::pending::<bool>)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did not return"), "{error}");
}
