//! `sluice limits`: rate limits, and one call counted by hand.

use reqwest::Method;
use serde_json::Value;

use super::operator::decode;
use super::steer::{Asked, Common};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice limits`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List limits.
    List,
    /// What a key has used of a limit. Counts nothing.
    Status(Key),
    /// Count one call of a key, as a call would, and say whether it is admitted.
    Check(Key),
    /// Forget what a key has used; without values, what all keys have.
    Reset(Key),
}

/// Which key of which limit.
#[derive(Debug, clap::Args)]
struct Key {
    /// The limit's name.
    limit: String,
    /// One value for each part of the limit's key, in its order: `ann` for `user`.
    values: Vec<String>,
}

/// Asks once; `check` ends with 1 if the call would be refused.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match &args.command {
        Command::List => {
            let columns = [
                ("LIMIT", "name"),
                ("SERVICE", "service"),
                ("FUNCTION", "function"),
                ("KEY", "key"),
                ("MAX", "max_requests"),
                ("WINDOW", "window_ms"),
                ("SHADOW", "shadow"),
                ("PLAN", "named_only"),
            ];
            let asked = Asked::new(Method::GET, ["limits"]);
            args.common.list(&asked, "limits", &columns, terminal).await
        }
        Command::Status(key) => {
            let asked = of(key, Method::GET, None);
            let answer = args.common.ask(&asked).await?;
            args.common.print(&answer, terminal)
        }
        Command::Reset(key) => {
            let asked = of(key, Method::POST, Some("reset"));
            let whose = match key.values.is_empty() {
                true => "all keys".to_owned(),
                false => key.values.join(", "),
            };
            let done = format!("{}: reset for {whose}, at all gateways", key.limit);
            args.common.change(&asked, &done, terminal).await
        }
        Command::Check(key) => check(&args.common, key, terminal).await,
    }
}

async fn check(common: &Common, key: &Key, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let answer = common.ask(&of(key, Method::POST, Some("check"))).await?;
    let told: Value = decode(&answer)?;
    let admitted = told["admitted"] == true;
    let exit = if admitted { Exit::Ok } else { Exit::Failed };
    if common.json {
        common.print(&answer, terminal)?;
        return Ok(exit);
    }
    let line = match (admitted, told["remaining"].as_u64()) {
        (true, Some(left)) => format!("{}: admitted and counted, {left} left", key.limit),
        (true, None) => format!("{}: admitted", key.limit),
        (false, _) => {
            let why = told["error"].as_str().unwrap_or("refused");
            let wait = told["details"]["retry_after_ms"].as_u64();
            let wait = wait.map_or_else(String::new, |ms| format!("; again in {ms} ms"));
            format!("{}: refused: {why}{wait}", key.limit)
        }
    };
    writeln!(terminal.out, "{}", printable(&line))?;
    Ok(exit)
}

fn of<'a>(key: &'a Key, method: Method, what: Option<&'a str>) -> Asked<'a> {
    let path = ["limits", key.limit.as_str()].into_iter().chain(what);
    let values = key.values.iter();
    values.fold(Asked::new(method, path), |asked, value| {
        asked.with("value", Some(value))
    })
}
