//! `sluice health`: is a gateway ready? With `--parts`: how is each part of all gateways?

use std::time::Duration;

use super::client::Gateway;
use super::everybody::{Answers, ask, get};
use super::services::print_table;
use super::steer::Common;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};
use crate::diagnostics::health::{HealthReport, Level};

/// Arguments of `sluice health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway's address for clients.
    #[arg(
        long,
        value_name = "URL",
        env = "SLUICE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:4000"
    )]
    pub(super) url: String,
    /// Ask the admin API for each part of all gateways; ends with 0 if all is well, 3 if something
    /// is degraded, 1 if something is broken.
    #[arg(long)]
    pub(super) parts: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Asks once; a gateway that cannot be reached is not ready.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    if args.parts {
        return parts(&args.common, terminal).await;
    }
    let gateway = Gateway::at("--url", &args.url)?;
    let request = gateway
        .get(gateway.url("/health/ready")?)
        .timeout(Duration::from_secs(5));
    // Container runtimes know 0 and 1 only.
    let response = match gateway.send(request).await {
        Err(Failure::Unreachable(why)) => {
            terminal.error(&why)?;
            return Ok(Exit::Failed);
        }
        response => response?,
    };
    let text = printable(response.text().trim());
    if args.common.json {
        let ready = response.status.is_success();
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let told = serde_json::json!({ "ready": ready, "answer": body });
        writeln!(terminal.out, "{told}")?;
        return Ok(if ready { Exit::Ok } else { Exit::Failed });
    }
    if response.status.is_success() {
        writeln!(terminal.out, "ready")?;
        return Ok(Exit::Ok);
    }
    let status = response.status.as_u16();
    terminal.error(&format!("not ready: HTTP {status} {text}"))?;
    Ok(Exit::Failed)
}

/// Each part of all gateways.
async fn parts(common: &Common, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let (answer, answers) = ask::<HealthReport>(common, &get(["health"])).await?;
    let exit = worst(&answers);
    if common.json {
        common.print(&answer, terminal)?;
        return Ok(exit);
    }
    let head = ["GATEWAY", "PART", "STATUS", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (gateway, report) in answers.all() {
        rows.extend(report.parts.iter().map(|part| {
            let status = format!("{:?}", part.status).to_lowercase();
            let gateway = gateway.to_owned();
            vec![gateway, part.part.clone(), status, part.text.clone()]
        }));
    }
    print_table(&rows, terminal)?;
    answers.tell_silent(terminal)?;
    Ok(exit)
}

/// A gateway that is silent is broken.
fn worst(answers: &Answers<HealthReport>) -> Exit {
    let silent = answers.gateways.iter().any(|said| said.error.is_some());
    let worst = answers.all().map(|(_, report)| report.status).max();
    match worst {
        _ if silent => Exit::Failed,
        Some(Level::Ok) | None => Exit::Ok,
        Some(Level::Degraded) => Exit::Between,
        Some(Level::Error) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Output, Server, closed_port};
    use super::*;

    fn args(url: String) -> Args {
        let admin = crate::cli::operator::Admin {
            admin: url.clone(),
            token: None,
        };
        let common = Common { json: false, admin };
        Args {
            url,
            parts: false,
            common,
        }
    }

    async fn ask_once(url: String) -> (Exit, Output) {
        let mut output = Output::default();
        let exit = run(&args(url), &mut output.terminal()).await.unwrap();
        (exit, output)
    }

    #[tokio::test]
    async fn the_worst_part_of_any_gateway_wins() {
        let report = |levels: [&str; 2]| {
            let one = |level: &str| {
                serde_json::json!({"gateway": level, "answer": {"status": level, "parts": [
                    {"part": "broker", "status": level, "text": "as it was told"},
                ]}})
            };
            let all = serde_json::json!({ "gateways": levels.map(one) });
            Answer::new(200, all.to_string())
        };
        for (levels, expected) in [
            (["ok", "ok"], Exit::Ok),
            (["ok", "degraded"], Exit::Between),
            (["error", "degraded"], Exit::Failed),
        ] {
            let server = Server::answering(vec![report(levels)]).await;
            let mut output = Output::default();
            let args = Args {
                parts: true,
                ..args(server.url())
            };
            let exit = run(&args, &mut output.terminal()).await.unwrap();
            assert_eq!(exit, expected, "{levels:?}");
            assert!(output.out().contains("as it was told"), "{output:?}");
        }
    }

    #[tokio::test]
    async fn ready_not_ready_and_gone() {
        let server = Server::answering(vec![
            Answer::new(200, "{}"),
            Answer::new(503, "{\"ready\":false,\"why\":\"no broker\"}"),
        ])
        .await;
        let (exit, output) = ask_once(server.url()).await;
        assert_eq!((exit, output.out().as_str()), (Exit::Ok, "ready\n"));
        let (exit, output) = ask_once(server.url()).await;
        assert_eq!(exit, Exit::Failed);
        assert!(output.err().contains("503") && output.err().contains("no broker"));
        assert_eq!(server.seen()[0].path, "/health/ready");

        let (exit, output) = ask_once(closed_port().await).await;
        assert_eq!(exit, Exit::Failed);
        assert!(
            output.err().contains("is the gateway running?"),
            "{output:?}"
        );
    }
}
