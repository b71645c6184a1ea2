//! `sluice breakers`: which circuit breakers are open, at which gateways, and closes them.

use reqwest::Method;

use super::steer::{Asked, Steered};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice breakers`.
pub(super) type Args = Steered<Command>;

/// What to do with breakers.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the breakers of all gateways that are not closed, or count failures.
    List {
        /// Only of the gateway that is asked.
        #[arg(long)]
        here: bool,
    },
    /// Close a breaker at all gateways, or all of them.
    Reset(Which),
}

#[derive(Debug, clap::Args)]
pub struct Which {
    /// Of this service: with --function or --instance. Without it, all.
    #[arg(long)]
    service: Option<String>,
    /// Of this function.
    #[arg(long, requires = "service", conflicts_with = "instance")]
    function: Option<String>,
    /// Of this version of the function.
    #[arg(long, requires = "function")]
    version: Option<String>,
    /// Of this instance.
    #[arg(long, requires = "service")]
    instance: Option<String>,
    /// Only at the gateway that is asked.
    #[arg(long)]
    here: bool,
}

/// Asks once, or resets.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match &args.command {
        Command::List { here } => {
            let columns = [
                ("GATEWAY", "gateway"),
                ("KIND", "kind"),
                ("SERVICE", "service"),
                ("FUNCTION", "function"),
                ("VERSION", "version"),
                ("INSTANCE", "instance"),
                ("STATE", "state"),
                ("FAILURES", "failures"),
                ("TRY AFTER", "retry_after_ms"),
            ];
            let asked = Asked::new(Method::GET, ["breakers"]).here(*here);
            let common = &args.common;
            common.list(&asked, "breakers", &columns, terminal).await
        }
        Command::Reset(which) => {
            let asked = Asked::new(Method::POST, ["breakers", "reset"])
                .with("service", which.service.as_deref())
                .with("function", which.function.as_deref())
                .with("version", which.version.as_deref())
                .with("instance", which.instance.as_deref())
                .here(which.here);
            let done = match which.here {
                true => "closed at this gateway",
                false => "closed at all gateways",
            };
            args.common.change(&asked, done, terminal).await
        }
    }
}
