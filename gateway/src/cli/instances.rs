//! `sluice instances`: which instances there are, and which get new calls.

use reqwest::Method;
use serde_json::json;

use super::steer::{Asked, Steered};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice instances`.
pub(super) type Args = Steered<Command>;

/// What to do with instances.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List instances: state, load, last seen.
    List {
        /// Only of this service.
        #[arg(long)]
        service: Option<String>,
    },
    /// Give an instance no new calls, at any gateway; those that it has go on.
    Drain(Which),
    /// Give it calls again.
    Undrain(Which),
}

#[derive(Debug, clap::Args)]
pub struct Which {
    /// Of which service.
    service: String,
    /// Which instance.
    instance: String,
}

/// Asks once, or changes one thing.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let (which, drained) = match &args.command {
        Command::List { service } => {
            let columns = [
                ("SERVICE", "service"),
                ("INSTANCE", "instance"),
                ("STATE", "state"),
                ("LIVE", "live"),
                ("DRAINED", "drained"),
                ("IN FLIGHT HERE", "in_flight"),
                ("IN FLIGHT", "reported_in_flight"),
                ("CAPACITY", "capacity"),
                ("LAST SEEN", "last_seen_ms_ago"),
            ];
            let asked = Asked::new(Method::GET, ["instances"]);
            let asked = asked.with("service", service.as_deref());
            let common = &args.common;
            return common.list(&asked, "instances", &columns, terminal).await;
        }
        Command::Drain(which) => (which, true),
        Command::Undrain(which) => (which, false),
    };
    let path = ["instances", &which.service, &which.instance, "drained"];
    let asked = Asked::new(Method::PUT, path).body(json!({ "drained": drained }));
    let (service, instance) = (&which.service, &which.instance);
    let what = if drained {
        "gets no new calls from any gateway"
    } else {
        "gets calls again"
    };
    let done = format!("{service} {instance}: {what}");
    args.common.change(&asked, &done, terminal).await
}
