//! `sluice services`: what is registered, and who serves it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sluice_protocol::registry::Reason;

use super::json::{Layout, lay_out};
use super::operator::{Admin, decode};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice services`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the answer of the admin API.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// `GET /v1/services` of the admin API. Fields of newer gateways are passed over.
#[derive(Debug, Deserialize)]
struct Listing {
    services: Vec<Service>,
    #[serde(default)]
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Service {
    service: String,
    functions: Vec<Function>,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
struct Function {
    request_type: String,
    version: Option<String>,
    response_type: String,
    choose_node_mode: Value,
    #[serde(default)]
    disabled: bool,
    instances: u64,
    #[serde(default)]
    mixed_config: bool,
}

#[derive(Debug, Deserialize)]
struct Instance {
    instance: String,
    state: String,
    in_flight: u64,
    capacity: u64,
    last_seen_ms_ago: u64,
}

/// A config that the gateway did not take.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    service: Option<String>,
    instance: Option<String>,
    #[serde(default)]
    reasons: Vec<Reason>,
}

/// Asks once and prints tables.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let gateway = args.admin.gateway()?;
    let request = gateway.get(gateway.url("/v1/services")?);
    let answer = args.admin.send(&gateway, request).await?;
    let listing: Listing = decode(&answer)?;
    if args.json {
        let text = String::from_utf8_lossy(&answer.body);
        writeln!(terminal.out, "{}", lay_out(&text, Layout::Indented))?;
        return Ok(Exit::Ok);
    }
    print_listing(&listing, terminal)?;
    Ok(Exit::Ok)
}

fn print_listing(listing: &Listing, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if listing.services.is_empty() {
        let hint = "no services yet; a worker registers what it serves when it starts";
        writeln!(terminal.err, "{hint}")?;
    } else {
        print_table(&functions(listing), terminal)?;
    }
    if listing.services.iter().any(|s| !s.instances.is_empty()) {
        writeln!(terminal.out)?;
        print_table(&instances(listing), terminal)?;
    }
    for refused in &listing.refused {
        writeln!(terminal.out)?;
        print_refused(refused, terminal)?;
    }
    Ok(())
}

/// Who sent it, then a line for each reason.
pub(super) fn print_refused(refused: &Refused, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    let (service, instance) = (name(&refused.service), name(&refused.instance));
    let head = printable(&format!("refused: {service}, from {instance}"));
    writeln!(terminal.out, "{head}")?;
    for reason in &refused.reasons {
        writeln!(terminal.out, "  {}", printable(&reason.to_string()))?;
    }
    Ok(())
}

fn functions(listing: &Listing) -> Vec<Vec<String>> {
    let head = [
        "SERVICE",
        "FUNCTION",
        "VERSION",
        "KIND",
        "MODE",
        "INSTANCES",
        "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for service in &listing.services {
        for function in &service.functions {
            rows.push(vec![
                service.service.clone(),
                function.request_type.clone(),
                function.version.clone().unwrap_or_else(|| "-".to_owned()),
                function.response_type.clone(),
                mode(&function.choose_node_mode),
                function.instances.to_string(),
                state(function).to_owned(),
            ]);
        }
    }
    rows
}

/// `random`, or `hash(user_id)` for `{"hash": "user_id"}`.
fn mode(mode: &Value) -> String {
    match mode {
        Value::String(name) => name.clone(),
        Value::Object(one) if one.len() == 1 => one
            .iter()
            .map(|(name, arg)| format!("{name}({})", arg.as_str().unwrap_or("?")))
            .collect(),
        other => other.to_string(),
    }
}

fn state(function: &Function) -> &'static str {
    if function.disabled {
        "disabled"
    } else if function.instances == 0 {
        "no workers"
    } else if function.mixed_config {
        "mixed config"
    } else {
        "ready"
    }
}

fn instances(listing: &Listing) -> Vec<Vec<String>> {
    let head = ["SERVICE", "INSTANCE", "STATE", "IN FLIGHT", "LAST SEEN"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for service in &listing.services {
        for instance in &service.instances {
            let load = match instance.capacity {
                0 => instance.in_flight.to_string(),
                capacity => format!("{}/{capacity}", instance.in_flight),
            };
            let ago = Duration::from_millis(instance.last_seen_ms_ago).as_secs_f64();
            rows.push(vec![
                service.service.clone(),
                instance.instance.clone(),
                instance.state.clone(),
                load,
                format!("{ago:.1} s ago"),
            ]);
        }
    }
    rows
}

/// Prints rows in columns as wide as their widest cell.
pub(super) fn print_table(
    rows: &[Vec<String>],
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let lengths = cells.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &cells {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell:<w$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        writeln!(terminal.out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Output, Server, closed_port};
    use super::*;
    use serde_json::json;

    async fn ask(admin: String, json: bool) -> (Result<Exit, Failure>, Output) {
        let mut output = Output::default();
        let admin = Admin { admin, token: None };
        let exit = run(&Args { json, admin }, &mut output.terminal()).await;
        (exit, output)
    }

    fn listing() -> Value {
        let function = |name: &str, version: Value, mode: Value, disabled, instances, mixed| {
            json!({
                "request_type": name, "version": version, "response_type": "sync",
                "choose_node_mode": mode, "disabled": disabled, "instances": instances,
                "mixed_config": mixed, "description": null, "from_a_newer_gateway": 1,
            })
        };
        json!({
            "services": [{
                "service": "users",
                "functions": [
                    function("get", json!("1.2.0"), json!("random"), false, 2, false),
                    function("put", Value::Null, json!({"sticky": "user_id"}), false, 2, true),
                    function("old", json!("1"), json!("hash"), true, 2, false),
                    function("gone", json!("1"), json!("hash"), false, 0, false),
                ],
                "instances": [
                    {"instance": "a\u{1b}1", "state": "ready", "in_flight": 3, "capacity": 64,
                     "last_seen_ms_ago": 1240, "config_hash": "x"},
                    {"instance": "b2", "state": "draining", "in_flight": 0, "capacity": 0,
                     "last_seen_ms_ago": 0, "config_hash": "x"},
                ],
            }],
            "refused": [{
                "service": "orders", "instance": "c3",
                "reasons": [{"function": "orders.add", "field": "timeout", "message": "too short"}],
            }],
        })
    }

    #[tokio::test]
    async fn tables_for_people() {
        let server = Server::answering(vec![Answer::new(200, listing().to_string())]).await;
        let (exit, output) = ask(server.url(), false).await;
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert_eq!(
            output.out(),
            "\
SERVICE  FUNCTION  VERSION  KIND  MODE             INSTANCES  STATE
users    get       1.2.0    sync  random           2          ready
users    put       -        sync  sticky(user_id)  2          mixed config
users    old       1        sync  hash             2          disabled
users    gone      1        sync  hash             0          no workers

SERVICE  INSTANCE  STATE     IN FLIGHT  LAST SEEN
users    a\\u{1b}1  ready     3/64       1.2 s ago
users    b2        draining  0          0.0 s ago

refused: orders, from c3
  orders.add: timeout: too short
"
        );
        assert_eq!(server.seen()[0].path, "/v1/services");
    }

    #[tokio::test]
    async fn json_is_passed_on() {
        let server = Server::answering(vec![Answer::new(200, listing().to_string())]).await;
        let (exit, output) = ask(server.url(), true).await;
        assert_eq!(exit.unwrap(), Exit::Ok);
        let printed: Value = serde_json::from_str(&output.out()).unwrap();
        assert_eq!(printed, listing());
    }

    #[tokio::test]
    async fn nothing_registered_is_said() {
        let server = Server::answering(vec![Answer::new(200, r#"{"services":[]}"#)]).await;
        let (_, output) = ask(server.url(), false).await;
        assert_eq!(output.out(), "");
        assert!(output.err().contains("no services yet"));
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said() {
        let server = Server::answering(vec![
            Answer::new(404, "{\"error\":\"nope\"}"),
            Answer::new(200, "<html>"),
        ])
        .await;
        for part in ["HTTP 404", "HTTP 200"] {
            let (exit, _) = ask(server.url(), false).await;
            let failure = exit.unwrap_err();
            assert!(
                matches!(&failure, Failure::Failed(why) if why.contains(part)),
                "{failure}"
            );
        }
        let (exit, _) = ask(closed_port().await, false).await;
        assert!(
            matches!(exit.unwrap_err(), Failure::Unreachable(why) if why.contains("sluice dev"))
        );
    }
}
