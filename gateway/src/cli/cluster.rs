//! `sluice cluster`: all gateways and workers, and who sees whom.

use std::collections::BTreeMap;

use super::everybody::{Answers, ask, get, span};
use super::services::print_table;
use super::steer::Common;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};
use crate::diagnostics::cluster::{GatewayReport, InstanceView};

/// Arguments of `sluice cluster`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Asks once; ends with 1 if somebody does not answer, or not all see the same.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let (answer, answers) = ask::<GatewayReport>(&args.common, &get(["cluster"])).await?;
    let seen = instances(&answers);
    let gateways: Vec<&str> = answers.all().map(|(id, _)| id).collect();
    let unseen = unseen(&answers, &gateways, &seen);
    let exit = if unseen.is_empty() && answers.gateways.iter().all(|said| said.error.is_none()) {
        Exit::Ok
    } else {
        Exit::Failed
    };
    if args.common.json {
        args.common.print(&answer, terminal)?;
        return Ok(exit);
    }
    print_table(&gateway_rows(&answers), terminal)?;
    if !seen.is_empty() {
        writeln!(terminal.out)?;
        print_table(&instance_rows(&seen, gateways.len()), terminal)?;
    }
    for line in &unseen {
        writeln!(terminal.out, "{}", printable(line))?;
    }
    for (gateway, report) in answers.all().filter(|(_, r)| !r.open_breakers.is_empty()) {
        let line = format!(
            "gateway {gateway}: breakers not closed: {}",
            report.open_breakers.join(", ")
        );
        writeln!(terminal.out, "{}", printable(&line))?;
    }
    answers.tell_silent(terminal)?;
    Ok(exit)
}

fn gateway_rows(answers: &Answers<GatewayReport>) -> Vec<Vec<String>> {
    let head = [
        "GATEWAY",
        "VERSION",
        "STATUS",
        "HTTP",
        "ADMIN",
        "UP",
        "GATEWAYS",
        "SERVICES",
        "INSTANCES",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (id, report) in answers.all() {
        let count: usize = report.services.iter().map(|s| s.instances.len()).sum();
        let status = format!("{:?}", report.status).to_lowercase();
        let status = if report.draining {
            "draining".to_owned()
        } else {
            status
        };
        rows.push(vec![
            id.to_owned(),
            report.version.clone(),
            status,
            report.http.clone(),
            report.admin.clone(),
            span(report.uptime_ms),
            (report.gateways.len() + 1).to_string(),
            report.services.len().to_string(),
            count.to_string(),
        ]);
    }
    rows
}

/// An instance, and the gateways that see it alive.
type Seen<'a> = BTreeMap<(&'a str, &'a str), (&'a InstanceView, Vec<&'a str>)>;

fn instances(answers: &Answers<GatewayReport>) -> Seen<'_> {
    let mut seen = Seen::new();
    for (gateway, report) in answers.all() {
        for service in &report.services {
            for instance in &service.instances {
                let key = (service.service.as_str(), instance.instance.as_str());
                let (_, by) = seen.entry(key).or_insert((instance, Vec::new()));
                by.push(gateway);
            }
        }
    }
    seen
}

fn instance_rows(seen: &Seen<'_>, gateways: usize) -> Vec<Vec<String>> {
    let head = [
        "SERVICE",
        "INSTANCE",
        "STATE",
        "CONFIG",
        "CAPACITY",
        "LAST SEEN",
        "SEEN BY",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for ((service, instance), (view, by)) in seen {
        let live = if view.live { "" } else { " (no calls)" };
        rows.push(vec![
            (*service).to_owned(),
            (*instance).to_owned(),
            format!("{}{live}", view.state),
            view.config_hash.chars().take(8).collect(),
            view.capacity.to_string(),
            span(view.last_seen_ms_ago),
            format!("{} of {gateways}", by.len()),
        ]);
    }
    rows
}

/// Who does not see whom.
fn unseen(answers: &Answers<GatewayReport>, gateways: &[&str], seen: &Seen<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for (id, report) in answers.all() {
        for other in gateways.iter().filter(|other| **other != id) {
            if !report.gateways.iter().any(|g| g == other) {
                all.push(format!("gateway {id} does not hear gateway {other}"));
            }
        }
    }
    for ((service, instance), (_, by)) in seen {
        for gateway in gateways.iter().filter(|g| !by.contains(*g)) {
            all.push(format!(
                "gateway {gateway} does not see {service}/{instance}"
            ));
        }
    }
    all
}
