//! `sluice sockets` and `sluice streams`: what is open at a gateway; closes one.

use reqwest::Method;

use super::steer::{Asked, Steered};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice sockets` and `sluice streams`.
pub(super) type Args = Steered<Command>;

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List those that are open at this gateway.
    List {
        /// Only of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Close one.
    Close {
        /// Its id in the list, which names its gateway: that one has to be asked.
        id: String,
        /// Why: its client is told.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Sockets,
    Streams,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Streams => "streams",
        }
    }

    fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Sockets => &[
                ("ID", "id"),
                ("USER", "user"),
                ("API KEY", "api_key"),
                ("ADDRESS", "address"),
                ("OPEN FOR", "open_ms"),
                ("CHANNELS", "channels"),
                ("CALLS", "calls"),
            ],
            Self::Streams => &[
                ("ID", "id"),
                ("SERVICE", "service"),
                ("FUNCTION", "function"),
                ("VERSION", "version"),
                ("USER", "user"),
                ("REQUEST", "request_id"),
                ("OPEN FOR", "open_ms"),
                ("ITEMS", "items"),
            ],
        }
    }
}

/// Asks once, or closes one.
pub(super) async fn run(
    args: &Args,
    what: What,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let (common, name) = (&args.common, what.name());
    match &args.command {
        Command::List { user } => {
            let asked = Asked::new(Method::GET, [name]).with("user", user.as_deref());
            common.list(&asked, name, what.columns(), terminal).await
        }
        Command::Close { id, reason } => {
            let reason = Some(reason.as_str()).filter(|r| !r.is_empty());
            let asked = Asked::new(Method::DELETE, [name, id]).with("reason", reason);
            let done = format!("{} {id}: closed", name.trim_end_matches('s'));
            common.change(&asked, &done, terminal).await
        }
    }
}
