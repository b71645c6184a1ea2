//! `sluice audit`: who changed what, and who was refused.

use reqwest::Method;

use super::steer::{Asked, Common};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this operator.
    #[arg(long)]
    operator: Option<String>,
    /// Only what was done.
    #[arg(long, conflicts_with = "refused")]
    done: bool,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// How many at most, the newest.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

/// Asks once.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let limit = args.limit.to_string();
    let allowed = match (args.done, args.refused) {
        (true, _) => Some("true"),
        (_, true) => Some("false"),
        _ => None,
    };
    let columns = [
        ("AGO", "ms_ago"),
        ("OPERATOR", "operator"),
        ("ACTION", "action"),
        ("DONE", "allowed"),
        ("WHAT", "target"),
    ];
    let asked = Asked::new(Method::GET, ["audit"])
        .with("operator", args.operator.as_deref())
        .with("allowed", allowed)
        .with("limit", Some(&limit));
    args.common
        .list(&asked, "entries", &columns, terminal)
        .await
}
