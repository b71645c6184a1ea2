//! `sluice log`: the levels of the gateways' logs, while they run.

use reqwest::Method;
use serde_json::{Value, json};

use super::operator::decode;
use super::steer::{Asked, Common, tell_silent};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice log`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The levels from now on, at all gateways: `debug`, or `warn,sluice_gateway::registry=debug`.
    /// Without it, they are shown.
    #[arg(value_name = "LEVEL", conflicts_with = "reset")]
    level: Option<String>,
    /// Back to what the configuration says after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", requires = "level")]
    seconds: Option<u32>,
    /// Back to what the configuration says, now.
    #[arg(long)]
    reset: bool,
    /// Only at the gateway that is asked; else at all of them.
    #[arg(long)]
    here: bool,
    #[command(flatten)]
    common: Common,
}

impl Args {
    fn asked(&self) -> Asked<'static> {
        let asked = match &self.level {
            Some(level) => {
                let for_ms = self.seconds.map(|seconds| u64::from(seconds) * 1000);
                let body = json!({ "filter": level, "for_ms": for_ms });
                Asked::new(Method::PUT, ["log"]).body(body)
            }
            None if self.reset => Asked::new(Method::DELETE, ["log"]),
            None => Asked::new(Method::GET, ["log"]),
        };
        asked.here(self.here)
    }
}

/// Asks, or changes, and prints what is in force then.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let answer = args.common.ask(&args.asked()).await?;
    if args.common.json {
        return args.common.print(&answer, terminal);
    }
    let told: Value = decode(&answer)?;
    let none = Vec::new();
    let gateways = told["gateways"].as_array().unwrap_or(&none);
    let all: Vec<(&str, String)> = gateways
        .iter()
        .filter(|said| said["error"].is_null())
        .map(|said| {
            (
                said["gateway"].as_str().unwrap_or_default(),
                line(&said["answer"]),
            )
        })
        .collect();
    match all.split_first() {
        // As long as all say the same, whose it is tells nothing.
        Some((first, others)) if others.iter().any(|(_, line)| *line != first.1) => {
            for (gateway, line) in &all {
                let line = format!("{gateway}: {line}");
                writeln!(terminal.out, "{}", printable(&line))?;
            }
        }
        _ => writeln!(terminal.out, "{}", printable(&line(&told)))?,
    }
    tell_silent(&told["gateways"], terminal)?;
    Ok(Exit::Ok)
}

/// The levels of one gateway.
fn line(told: &Value) -> String {
    let filter = told["filter"].as_str().unwrap_or_default();
    let configured = told["configured"].as_str().unwrap_or_default();
    let note = match told["reverts_in_ms"].as_u64() {
        Some(ms) => format!(" (for {} s; then {configured})", ms.div_ceil(1000)),
        None if filter != configured => format!(" (configured: {configured})"),
        None => String::new(),
    };
    format!("{filter}{note}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::testing::{Answer, Output, Server};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    async fn asked(line: &[&str], answer: &str) -> (String, String, String) {
        let server = Server::answering(vec![Answer::new(200, answer)]).await;
        let url = server.url();
        let line = ["log", "--admin", &url]
            .into_iter()
            .chain(line.iter().copied());
        let args = Line::parse_from(line).args;
        let mut output = Output::default();
        let exit = run(&args, &mut output.terminal()).await.unwrap();
        assert_eq!(exit, Exit::Ok);
        let seen = &server.seen()[0];
        let what = format!("{} {}", seen.method, seen.path);
        (what, seen.body.clone(), output.out())
    }

    #[tokio::test]
    async fn levels_are_shown_set_and_reset() {
        let plain = r#"{"filter":"info","configured":"info","reverts_in_ms":null}"#;
        let (what, _, out) = asked(&[], plain).await;
        assert_eq!((what.as_str(), out.as_str()), ("GET /v1/log", "info\n"));
        let (what, _, _) = asked(&["--reset"], plain).await;
        assert_eq!(what, "DELETE /v1/log");
        let timed = r#"{"filter":"debug","configured":"info","reverts_in_ms":59999}"#;
        let (what, body, out) = asked(&["debug", "--for", "60"], timed).await;
        assert_eq!(what, "PUT /v1/log");
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({"filter": "debug", "for_ms": 60_000})
        );
        assert_eq!(out, "debug (for 60 s; then info)\n");
        let kept = r#"{"filter":"warn","configured":"info","reverts_in_ms":null}"#;
        let (_, _, out) = asked(&["warn"], kept).await;
        assert_eq!(out, "warn (configured: info)\n");
        let two = r#"{"filter":"warn","configured":"info","gateways":[
            {"gateway":"g1","answer":{"filter":"warn","configured":"info"}},
            {"gateway":"g2","answer":{"filter":"info","configured":"info"}},
            {"gateway":"g3","error":"no answer"}]}"#;
        let (what, _, out) = asked(&["warn", "--here"], two).await;
        assert_eq!(what, "PUT /v1/log?here=true");
        assert_eq!(out, "g1: warn (configured: info)\ng2: info\n");
    }
}
