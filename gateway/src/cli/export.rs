//! `sluice export`: functions as requests that can be sent at once, or as a configuration file.

use super::everybody::get;
use super::steer::Common;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this service.
    #[arg(long)]
    service: Option<String>,
    /// `map`: an example request for each function, as JSON. `config`: `[[function]]` tables that
    /// `serve` loads, so that calls go to these functions' subjects without any registration.
    #[arg(long, value_enum, default_value_t = Form::Map)]
    form: Form,
    /// `user_id` of each request.
    #[arg(long)]
    user: Option<String>,
    /// `device_id` of each request.
    #[arg(long)]
    device: Option<String>,
    /// `request_id` of each request.
    #[arg(long)]
    request_id: Option<String>,
    /// The event of each push.
    #[arg(long)]
    event: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Map,
    Config,
}

/// Asks once and prints what came.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let form = match args.form {
        Form::Map => "map",
        Form::Config => "config",
    };
    let asked = get(["export"])
        .with("form", Some(form))
        .with("service", args.service.as_deref())
        .with("user_id", args.user.as_deref())
        .with("device_id", args.device.as_deref())
        .with("request_id", args.request_id.as_deref())
        .with("event", args.event.as_deref());
    let answer = args.common.ask(&asked).await?;
    if args.form == Form::Map {
        return args.common.print(&answer, terminal);
    }
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if args.common.json {
        writeln!(terminal.out, "{}", serde_json::json!({ "toml": text }))?;
    } else {
        write!(terminal.out, "{text}")?;
    }
    Ok(Exit::Ok)
}
