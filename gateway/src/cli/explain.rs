//! `sluice explain`: what would happen to this request, without sending it.

use std::net::IpAddr;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::call::arguments;
use super::everybody::ask;
use super::flow;
use super::steer::{Asked, Common};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service.
    service: String,
    /// The function.
    function: String,
    /// Arguments of the function, as `sluice call` takes them.
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// All arguments as one JSON object; KEY=VALUE adds to it.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// The function's version; without it the pinned or the latest.
    #[arg(long)]
    version: Option<String>,
    /// The user who calls.
    #[arg(long)]
    user: Option<String>,
    /// The device that calls.
    #[arg(long)]
    device: Option<String>,
    /// A role of the user; may stand several times.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The id of the API key that is used: its user, its plan, its pins.
    #[arg(long, value_name = "ID")]
    api_key: Option<String>,
    /// The client's address, for limits that count by it.
    #[arg(long)]
    address: Option<IpAddr>,
    #[command(flatten)]
    common: Common,
}

/// Asks once; ends with 1 if the request would be refused.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let address = args.address.map(|address| address.to_string());
    let asked = Asked::new(Method::POST, ["explain"])
        .with("address", address.as_deref())
        .with("api_key", args.api_key.as_deref())
        .body(request(args)?);
    let (answer, answers) = ask(&args.common, &asked).await?;
    flow::tell(&args.common, &answer, &answers, terminal)
}

/// The request as a client would send it.
fn request(args: &Args) -> Result<Value, Failure> {
    let text = arguments::parse(args.args.as_deref(), &args.pairs).map_err(Failure::Usage)?;
    let values: Value = serde_json::from_str(&text).map_err(|e| Failure::Usage(e.to_string()))?;
    let mut request = Map::new();
    request.insert("service".to_owned(), args.service.as_str().into());
    request.insert("request_type".to_owned(), args.function.as_str().into());
    request.insert("args".to_owned(), values);
    let named = [
        ("version", &args.version),
        ("user_id", &args.user),
        ("device_id", &args.device),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            request.insert(name.to_owned(), value.as_str().into());
        }
    }
    if !args.role.is_empty() {
        request.insert("user_roles".to_owned(), json!(args.role));
    }
    Ok(request.into())
}
