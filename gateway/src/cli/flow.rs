//! `sluice flow`: what would happen to calls of a function, stage by stage.

use super::client::Answer;
use super::everybody::{Answers, ask, get};
use super::services::print_table;
use super::steer::Common;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};
use crate::pipeline::explain::{BreakerLook, Explanation, InstanceLook, Outcome};

/// Arguments of `sluice flow`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service.
    service: String,
    /// The function.
    function: String,
    /// Which version; without it the latest.
    version: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Asks once; ends with 1 if any call would be refused.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let asked = get(["flow", &args.service, &args.function]);
    let asked = asked.with("version", args.version.as_deref());
    let (answer, answers) = ask(&args.common, &asked).await?;
    tell(&args.common, &answer, &answers, terminal)
}

/// Prints explanations; also for `sluice explain`.
pub(super) fn tell(
    common: &Common,
    answer: &Answer,
    answers: &Answers<Explanation>,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let own = answers.own()?;
    let exit = if own.would_run {
        Exit::Ok
    } else {
        Exit::Failed
    };
    if common.json {
        common.print(answer, terminal)?;
        return Ok(exit);
    }
    headline(own, terminal)?;
    print_table(&stages(own), terminal)?;
    if !own.instances.is_empty() {
        writeln!(terminal.out)?;
        print_table(&instances(own), terminal)?;
    }
    if !own.drained.is_empty() {
        let text = format!("\ndrained by an operator: {}", own.drained.join(", "));
        writeln!(terminal.out, "{}", printable(&text))?;
    }
    if own.versions.len() > 1 {
        writeln!(terminal.out, "\n{}", printable(&versions(own)))?;
    }
    others(own, answers, terminal)?;
    answers.tell_silent(terminal)?;
    Ok(exit)
}

fn headline(own: &Explanation, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (service, function) = (&own.service, &own.request_type);
    let name = match own.resolved_version.as_ref().or(own.version.as_ref()) {
        Some(version) => format!("{service}.{function}@{version}"),
        None => format!("{service}.{function}"),
    };
    let line = match (&own.refused, &own.would_go_to) {
        (Some(refused), _) => {
            let (stage, code) = (&refused.stage, &refused.error_code);
            format!("{name}: refused at {stage}, {code}")
        }
        (None, Some(instance)) => format!("{name}: would run, on {instance}"),
        (None, None) => format!("{name}: would run"),
    };
    writeln!(terminal.out, "{}\n", printable(&line))?;
    Ok(())
}

fn stages(own: &Explanation) -> Vec<Vec<String>> {
    let mut rows = vec![["STAGE", "", "WHY"].map(str::to_owned).to_vec()];
    for step in &own.steps {
        let outcome = match step.outcome {
            Outcome::Passes => "passes",
            Outcome::Checks => "checks",
            Outcome::Asks => "asks",
            Outcome::Refuses => "REFUSES",
            Outcome::Unknown => "unknown",
            Outcome::NotReached => "not reached",
        };
        rows.push(vec![
            step.stage.clone(),
            outcome.to_owned(),
            step.text.clone(),
        ]);
    }
    rows
}

fn instances(own: &Explanation) -> Vec<Vec<String>> {
    let head = ["INSTANCE", "GETS CALLS", "IN FLIGHT", "LATENCY", "BREAKER"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    if let Some(breaker) = &own.breaker {
        let whole = "(the function)".to_owned();
        rows.push(vec![
            whole,
            "-".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
            state(breaker),
        ]);
    }
    rows.extend(own.instances.iter().map(instance));
    rows
}

fn instance(i: &InstanceLook) -> Vec<String> {
    let load = match i.capacity {
        0 => i.in_flight.to_string(),
        capacity => format!("{} of {capacity}", i.in_flight),
    };
    let gets = if i.available { "yes" } else { "NO" };
    let latency = format!("{:.1} ms", f64::from(i.latency_us) / 1000.0);
    vec![
        i.instance.clone(),
        gets.to_owned(),
        load,
        latency,
        state(&i.breaker),
    ]
}

fn state(breaker: &BreakerLook) -> String {
    let BreakerLook {
        state,
        failures,
        retry_after_ms,
    } = breaker;
    match (state.as_str(), failures) {
        ("closed", 0) => "closed".to_owned(),
        ("closed", n) => format!("closed, {n} failures"),
        (state, _) => format!("{state}, tries again in {retry_after_ms} ms"),
    }
}

fn versions(own: &Explanation) -> String {
    let one = |v: &crate::pipeline::explain::VersionLook| {
        let name = v.version.as_deref().unwrap_or("(none)");
        let off = if v.disabled { ", disabled" } else { "" };
        format!("{name} ({} instances{off})", v.instances)
    };
    let all: Vec<String> = own.versions.iter().map(one).collect();
    format!("versions: {}", all.join("; "))
}

/// Where other gateways would do something else.
fn others(
    own: &Explanation,
    answers: &Answers<Explanation>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    let total = answers.gateways.len();
    let mut same = 1;
    for (gateway, other) in answers.all().skip(1) {
        let differs = difference(own, other);
        if differs.is_empty() {
            same += 1;
            continue;
        }
        let line = format!("gateway {gateway} differs: {}", differs.join("; "));
        writeln!(terminal.out, "{}", printable(&line))?;
    }
    if total > 1 {
        writeln!(terminal.out, "\n{same} of {total} gateways say so")?;
    }
    Ok(())
}

fn difference(own: &Explanation, other: &Explanation) -> Vec<String> {
    let mut all = Vec::new();
    match (&own.refused, &other.refused) {
        (None, Some(refused)) => all.push(format!("refuses, {}", refused.error_code)),
        (Some(_), None) => all.push("lets it run".to_owned()),
        (Some(a), Some(b)) if a.error_code != b.error_code => {
            all.push(format!("refuses, {}", b.error_code));
        }
        _ => {}
    }
    if own.resolved_version != other.resolved_version {
        let version = other.resolved_version.as_deref().unwrap_or("none");
        all.push(format!("version {version}"));
    }
    let ids = |e: &Explanation| -> Vec<String> {
        e.instances.iter().map(|i| i.instance.clone()).collect()
    };
    if ids(own) != ids(other) {
        all.push(format!("instances {}", ids(other).join(", ")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_and_nothing_else_is() {
        let one = Explanation {
            would_run: true,
            resolved_version: Some("1.0.0".to_owned()),
            ..Explanation::default()
        };
        assert!(difference(&one, &one.clone()).is_empty());
        let other = Explanation {
            resolved_version: None,
            refused: Some(crate::pipeline::explain::Refused {
                stage: "dispatch".to_owned(),
                error_code: "circuit_open".to_owned(),
                error: String::new(),
                details: None,
            }),
            ..one.clone()
        };
        let told = difference(&one, &other);
        assert_eq!(told, ["refuses, circuit_open", "version none"]);
        assert_eq!(difference(&other, &one)[0], "lets it run");
    }

    #[test]
    fn an_open_breaker_says_when_it_tries_again() {
        let mut breaker = BreakerLook {
            state: "open".to_owned(),
            failures: 0,
            retry_after_ms: 1500,
        };
        assert_eq!(state(&breaker), "open, tries again in 1500 ms");
        breaker.state = "closed".to_owned();
        assert_eq!(state(&breaker), "closed");
    }
}
