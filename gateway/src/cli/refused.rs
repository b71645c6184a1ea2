//! `sluice refused`: configs of workers that were refused, with every reason.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::operator::decode;
use super::services::{Refused, print_refused};
use super::steer::{Asked, Common};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice refused`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this service.
    #[arg(long)]
    service: Option<String>,
    /// Only those that came so; `sender`: from somebody who may not register.
    #[arg(long, value_parser = ["announce", "pull", "sender"])]
    source: Option<String>,
    /// Forget them: they are looked at anew when they come again.
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    common: Common,
}

/// `GET /v1/refused`
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    refused: Vec<Refused>,
}

/// Asks once, or forgets them.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let method = if args.clear {
        Method::DELETE
    } else {
        Method::GET
    };
    let asked = Asked::new(method, ["refused"])
        .with("service", args.service.as_deref())
        .with("source", args.source.as_deref());
    let answer = args.common.ask(&asked).await?;
    if args.common.json {
        return args.common.print(&answer, terminal);
    }
    if args.clear {
        let told: Value = decode(&answer)?;
        writeln!(terminal.out, "forgotten: {}", told["cleared"])?;
        return Ok(Exit::Ok);
    }
    let told: Listed = decode(&answer)?;
    if told.refused.is_empty() {
        writeln!(terminal.err, "no config is refused")?;
    }
    for refused in &told.refused {
        print_refused(refused, terminal)?;
    }
    Ok(Exit::Ok)
}
