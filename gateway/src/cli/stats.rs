//! `sluice stats`: what all gateways have served, once.

use super::everybody::{ask, get};
use super::steer::Common;
use super::top::plain;
use super::traffic::{Traffic, View};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Asks once and prints tables, all lines of them.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let (answer, answers) = ask::<Traffic>(&args.common, &get(["cluster", "stats"])).await?;
    if args.common.json {
        return args.common.print(&answer, terminal);
    }
    plain::print(&View::of(&answers), terminal)?;
    answers.tell_silent(terminal)?;
    Ok(Exit::Ok)
}
