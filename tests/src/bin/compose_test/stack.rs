//! The stack: what docker-compose and docker are told to do with it.

use std::net::SocketAddr;
use std::process::Command;

use sluice_e2e::{Error, Result, eventually};

/// `docker-compose`, or `docker compose` where that is what there is.
pub(crate) fn compose(arguments: &[&str]) -> Result<String> {
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

pub(crate) fn scale(gateways: usize, workers: usize) -> Result {
    let (gateways, workers) = (format!("gateway={gateways}"), format!("worker={workers}"));
    let up = ["up", "-d", "--no-build", "--no-recreate"];
    compose(&[&up[..], &["--scale", &gateways, "--scale", &workers]].concat()).map(drop)
}

pub(crate) fn containers(service: &str) -> Result<Vec<String>> {
    Ok(compose(&["ps", "-q", service])?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Where each gateway listens on the engine's network. Not the mapped ports: the engine's proxy takes
/// connections there while nobody listens behind it, and cuts them.
pub(crate) fn addresses() -> Result<Vec<SocketAddr>> {
    const FORMAT: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}:4000";
    let address = |id: &String| {
        let text = docker(&["inspect", "-f", FORMAT, id])?;
        text.parse().map_err(|e| Error::because(text, e))
    };
    containers("gateway")?.iter().map(address).collect()
}

pub(crate) async fn wait_healthy(service: &str, count: usize) -> Result {
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

pub(crate) async fn kill(service: &str) -> Result {
    let all = containers(service)?;
    let one = all
        .first()
        .ok_or_else(|| Error::new(format!("no {service} runs")))?;
    docker(&["kill", "--signal", "KILL", one])?;
    // Its restart policy does not bring back what an operator killed.
    docker(&["start", one]).map(drop)
}

/// Ends in peace and comes back.
pub(crate) fn restart(id: &str) -> Result {
    docker(&["restart", "--time", "40", id]).map(drop)
}

/// One after the other ends in peace and comes back.
pub(crate) async fn roll(service: &str) -> Result {
    let all = containers(service)?;
    for id in &all {
        restart(id)?;
        wait_healthy(service, all.len()).await?;
    }
    Ok(())
}
