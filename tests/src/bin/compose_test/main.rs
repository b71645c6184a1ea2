//! `scripts/compose-test`: what a stack of docker-compose.yml does when its parts are killed,
//! restarted and scaled under load.
#![expect(clippy::print_stdout, reason = "the table is the program's output")]

mod phoenix;
mod stack;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::http::Client;
use sluice_e2e::load::{Load, Report, Running};
use sluice_e2e::{Error, Result, eventually};

use crate::phoenix::{Accounts, Drive};
use crate::stack::{addresses, compose, containers, kill, restart, roll, scale, wait_healthy};

/// Good answers that have to come after each fault: the load flows again.
const AGAIN: u64 = 200;

/// What calls and streams may be told on a socket that is about to close.
const MOVED: [&str; 2] = ["stream_lost", "overloaded (retry)"];

/// Every worker container answers, through each gateway.
async fn wait_everybody_works() -> Result {
    let wanted: BTreeSet<String> = containers("worker")?
        .iter()
        .map(|id| id[..12].to_owned())
        .collect();
    for address in addresses()? {
        let client = Client::new(format!("http://{address}"))?;
        let seen = RefCell::new(BTreeSet::new());
        eventually("every worker has got work", || async {
            let (_, envelope) = client.call("demo", "where_random", json!({})).await?;
            let instance = envelope.result["instance"].as_str().map(str::to_owned);
            let mut seen = seen.borrow_mut();
            seen.extend(instance);
            if seen.is_superset(&wanted) {
                Ok(())
            } else {
                Err(Error::new(format!("{seen:?} have, of {wanted:?}")))
            }
        })
        .await?;
    }
    Ok(())
}

fn load() -> Result<Running> {
    let load = Load::on(addresses()?, "demo", "echo")
        .check(|args, result| args["message"] == result["message"])
        .tasks(8)
        .pause(Duration::from_millis(2))
        .max_time(Duration::from_secs(100));
    Ok(load.start())
}

/// What each phase is allowed to do to requests.
#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    /// A fault: clear errors, and connections that die with their gateway.
    ClearErrors,
    /// Planned: nothing at all.
    Nothing,
    /// Planned, and sockets have to move: a stream that is open then ends and says so, a call that came
    /// while its socket was about to close is told to come again.
    Moved,
}

/// What became of the requests of a phase.
struct Row {
    sent: u64,
    ok: u64,
    errors: BTreeMap<String, u64>,
    cut: u64,
    refused: u64,
    lost: u64,
    balanced: bool,
    note: String,
}

impl From<&Report> for Row {
    fn from(report: &Report) -> Self {
        Self {
            sent: report.sent,
            ok: report.ok,
            errors: report.failed.clone(),
            cut: report.disconnected(),
            refused: report.refused,
            lost: report.lost() + report.wrong + report.unclear,
            balanced: report.is_balanced(),
            note: report.to_string(),
        }
    }
}

impl From<&Accounts> for Row {
    fn from(accounts: &Accounts) -> Self {
        let (items, rejoined) = (accounts.items, accounts.rejoined());
        Self {
            sent: accounts.sent,
            ok: accounts.ok,
            errors: accounts.failed.clone(),
            cut: accounts.cut,
            // The library connects again by itself and does not say how often it tried.
            refused: 0,
            lost: accounts.lost(),
            balanced: accounts.is_balanced(),
            note: format!("{items} items of streams, joined again {rejoined} times, {accounts:?}"),
        }
    }
}

struct Table {
    failed: bool,
}

impl Table {
    fn row(&mut self, phase: &str, allowed: Allowed, row: impl Into<Row>) {
        let row = row.into();
        let errors: u64 = row.errors.values().sum();
        let harmed = match allowed {
            Allowed::ClearErrors => false,
            Allowed::Nothing => errors + row.cut > 0,
            Allowed::Moved => {
                row.cut > 0 || row.errors.keys().any(|code| !MOVED.contains(&&**code))
            }
        };
        let bad = row.lost > 0 || !row.balanced || row.sent == 0 || harmed;
        self.failed |= bad;
        let verdict = if bad { "FAILED" } else { "ok" };
        println!(
            "| {phase:<31} | {:>6} | {:>6} | {errors:>6} | {:>5} | {:>7} | {:>4} | {verdict} |",
            row.sent, row.ok, row.cut, row.refused, row.lost,
        );
        if errors > 0 || bad {
            println!("|   {:?}; {} |", row.errors, row.note);
        }
    }
}

async fn phases(table: &mut Table) -> Result {
    scale(2, 3)?;
    wait_healthy("gateway", 2).await?;
    wait_healthy("worker", 3).await?;
    wait_everybody_works().await?;
    println!(
        "| phase                           |   sent |     ok | errors |   cut | refused | lost | |"
    );
    println!("|---|---|---|---|---|---|---|---|");

    let running = load()?;
    running.wait_ok(AGAIN).await?;
    scale(2, 5)?;
    wait_healthy("worker", 5).await?;
    wait_everybody_works().await?;
    scale(2, 1)?;
    running.wait_ok(AGAIN).await?;
    table.row("workers 3 → 5 → 1", Allowed::Nothing, &running.stop().await);
    scale(2, 3)?;
    wait_healthy("worker", 3).await?;
    wait_everybody_works().await?;

    for (phase, service) in [
        ("kill -9 a worker", "worker"),
        ("kill -9 a gateway", "gateway"),
        ("kill -9 nats", "nats"),
        ("kill -9 redis", "redis"),
    ] {
        let running = load()?;
        running.wait_ok(AGAIN).await?;
        kill(service).await?;
        running.wait_ok(AGAIN).await?;
        table.row(phase, Allowed::ClearErrors, &running.stop().await);
        wait_healthy(service, containers(service)?.len()).await?;
        wait_everybody_works().await?;
    }
    for (phase, service) in [
        ("rolling restart of workers", "worker"),
        ("rolling restart of gateways", "gateway"),
    ] {
        let running = load()?;
        running.wait_ok(AGAIN).await?;
        roll(service).await?;
        running.wait_ok(AGAIN).await?;
        table.row(phase, Allowed::Nothing, &running.stop().await);
    }
    phoenix_phases(table).await
}

/// What unmodified Phoenix clients see of it. `wait_back` fails if they do not come back by themselves.
async fn phoenix_phases(table: &mut Table) -> Result {
    let drive = Drive::start().await?;
    let before = drive.accounts();
    kill("gateway").await?;
    drive.wait_back(0, &before).await?;
    let accounts = drive.stop().await?;
    table.row(
        "phoenix, kill -9 a gateway",
        Allowed::ClearErrors,
        &accounts,
    );
    wait_healthy("gateway", 2).await?;
    wait_everybody_works().await?;

    let drive = Drive::start().await?;
    for (number, id) in containers("gateway")?.iter().enumerate() {
        let before = drive.accounts();
        restart(id)?;
        wait_healthy("gateway", 2).await?;
        drive.wait_back(number, &before).await?;
    }
    let accounts = drive.stop().await?;
    let phase = "phoenix, rolling restart";
    table.row(phase, Allowed::Moved, &accounts);
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut table = Table { failed: false };
    let done = phases(&mut table).await;
    if let Err(error) = &done {
        println!("compose-test: {error}");
        if let Ok(logs) = compose(&["logs", "--tail", "20"]) {
            println!("{logs}");
        }
    }
    if let Err(error) = compose(&["down", "-v", "--timeout", "5"]) {
        println!("compose-test: {error}");
    }
    if done.is_ok() && !table.failed {
        println!("compose-test: 0 hung, 0 lost");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
