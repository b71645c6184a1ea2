//! `scripts/compose-test`: what a stack of docker-compose.yml does when its parts are killed,
//! restarted and scaled under load.
#![expect(clippy::print_stdout, reason = "the table is the program's output")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde_json::json;
use sluice_e2e::http::Client;
use sluice_e2e::load::{Load, Report, Running};
use sluice_e2e::{Error, Result, eventually};

/// Good answers that have to come after each fault: the load flows again.
const AGAIN: u64 = 200;

/// `docker-compose`, or `docker compose` where that is what there is.
fn compose(arguments: &[&str]) -> Result<String> {
    let old = Command::new("docker-compose").arg("version").output();
    let mut command = if old.is_ok_and(|o| o.status.success()) {
        Command::new("docker-compose")
    } else {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    };
    output(command.args(arguments))
}

fn docker(arguments: &[&str]) -> Result<String> {
    output(Command::new("docker").args(arguments))
}

fn output(command: &mut Command) -> Result<String> {
    let done = command
        .output()
        .map_err(|e| Error::because(format!("{command:?}"), e))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&done.stderr);
    Err(Error::new(format!("{command:?}: {text}")))
}

fn scale(gateways: usize, workers: usize) -> Result {
    let (gateways, workers) = (format!("gateway={gateways}"), format!("worker={workers}"));
    let up = ["up", "-d", "--no-build", "--no-recreate"];
    compose(&[&up[..], &["--scale", &gateways, "--scale", &workers]].concat()).map(drop)
}

fn containers(service: &str) -> Result<Vec<String>> {
    Ok(compose(&["ps", "-q", service])?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Where each gateway listens on the engine's network. Not the mapped ports: the engine's proxy takes
/// connections there while nobody listens behind it, and cuts them.
fn addresses() -> Result<Vec<SocketAddr>> {
    const FORMAT: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}:4000";
    let address = |id: &String| {
        let text = docker(&["inspect", "-f", FORMAT, id])?;
        text.parse().map_err(|e| Error::because(text, e))
    };
    containers("gateway")?.iter().map(address).collect()
}

async fn wait_healthy(service: &str, count: usize) -> Result {
    eventually(&format!("{count} of {service} are healthy"), || async {
        let mut healthy = 0;
        for id in containers(service)? {
            let state = docker(&["inspect", "-f", "{{.State.Health.Status}}", &id])?;
            healthy += usize::from(state == "healthy");
        }
        if healthy == count {
            Ok(())
        } else {
            Err(Error::new(format!("{healthy} are")))
        }
    })
    .await
}

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
}

struct Table {
    failed: bool,
}

impl Table {
    fn row(&mut self, phase: &str, allowed: Allowed, report: &Report) {
        let lost = report.lost() + report.wrong + report.unclear;
        let harmed = report.failed_total() + report.cut;
        let bad = lost > 0 || !report.is_balanced() || (allowed == Allowed::Nothing && harmed > 0);
        self.failed |= bad;
        let verdict = if bad { "FAILED" } else { "ok" };
        println!(
            "| {phase:<28} | {:>6} | {:>6} | {:>6} | {:>5} | {:>7} | {:>4} | {verdict} |",
            report.sent,
            report.ok,
            report.failed_total(),
            report.disconnected(),
            report.refused,
            report.lost(),
        );
        if !report.failed.is_empty() || bad {
            println!("|   {report} |");
        }
    }
}

async fn kill(service: &str) -> Result {
    let all = containers(service)?;
    let one = all
        .first()
        .ok_or_else(|| Error::new(format!("no {service} runs")))?;
    docker(&["kill", "--signal", "KILL", one])?;
    // Its restart policy does not bring back what an operator killed.
    docker(&["start", one]).map(drop)
}

/// One after the other ends in peace and comes back.
async fn roll(service: &str) -> Result {
    let all = containers(service)?;
    for id in &all {
        docker(&["restart", "--time", "40", id])?;
        wait_healthy(service, all.len()).await?;
    }
    Ok(())
}

async fn phases(table: &mut Table) -> Result {
    scale(2, 3)?;
    wait_healthy("gateway", 2).await?;
    wait_healthy("worker", 3).await?;
    wait_everybody_works().await?;
    println!(
        "| phase                        |   sent |     ok | errors | cut | refused | lost | |"
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
