//! `sluice sticky`: which instance a key sticks to; forgets it.

use reqwest::Method;
use serde_json::Value;

use super::operator::decode;
use super::steer::{Asked, Steered};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice sticky`.
pub(super) type Args = Steered<Command>;

/// What to do with a key.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The instance that a key sticks to.
    Get(Key),
    /// Forget a key: its next call picks anew.
    Forget(Key),
}

#[derive(Debug, clap::Args)]
pub struct Key {
    /// Of which service.
    service: String,
    /// Which function.
    function: String,
    /// The value of the arg that its calls stick by: JSON, or else text.
    key: String,
    /// Which version; without it, the one that has none.
    #[arg(long)]
    version: Option<String>,
}

/// Asks once, or forgets; `get` ends with 3 if the key sticks to nobody.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let (key, method) = match &args.command {
        Command::Get(key) => (key, Method::GET),
        Command::Forget(key) => (key, Method::DELETE),
    };
    let forgets = method == Method::DELETE;
    let path = ["functions", &key.service, &key.function, "sticky"];
    let asked = Asked::new(method, path)
        .with("version", key.version.as_deref())
        .with("key", Some(&key.key));
    let answer = args.common.ask(&asked).await?;
    let told: Value = decode(&answer)?;
    let bound = told["instance"].as_str();
    let exit = match bound {
        None if !forgets => Exit::Between,
        _ => Exit::Ok,
    };
    if args.common.json {
        args.common.print(&answer, terminal)?;
        return Ok(exit);
    }
    let line = match (forgets, bound) {
        (false, Some(instance)) => instance.to_owned(),
        (true, Some(instance)) => format!("{}: forgotten, was {instance}", key.key),
        (_, None) => format!("{}: sticks to nobody", key.key),
    };
    writeln!(terminal.out, "{}", printable(&line))?;
    Ok(exit)
}
