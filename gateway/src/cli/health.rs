//! `sluice health`: is a gateway ready?

use std::time::Duration;

use super::client::Gateway;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

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
}

/// Asks once; a gateway that cannot be reached is not ready.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
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
    if response.status.is_success() {
        writeln!(terminal.out, "ready")?;
        return Ok(Exit::Ok);
    }
    let status = response.status.as_u16();
    terminal.error(&format!("not ready: HTTP {status} {text}"))?;
    Ok(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Output, Server, closed_port};
    use super::*;

    async fn ask(url: String) -> (Exit, Output) {
        let mut output = Output::default();
        let exit = run(&Args { url }, &mut output.terminal()).await.unwrap();
        (exit, output)
    }

    #[tokio::test]
    async fn ready_not_ready_and_gone() {
        let server = Server::answering(vec![
            Answer::new(200, "{}"),
            Answer::new(503, "{\"ready\":false,\"why\":\"no broker\"}"),
        ])
        .await;
        let (exit, output) = ask(server.url()).await;
        assert_eq!((exit, output.out().as_str()), (Exit::Ok, "ready\n"));
        let (exit, output) = ask(server.url()).await;
        assert_eq!(exit, Exit::Failed);
        assert!(output.err().contains("503") && output.err().contains("no broker"));
        assert_eq!(server.seen()[0].path, "/health/ready");

        let (exit, output) = ask(closed_port().await).await;
        assert_eq!(exit, Exit::Failed);
        assert!(
            output.err().contains("is the gateway running?"),
            "{output:?}"
        );
    }
}
