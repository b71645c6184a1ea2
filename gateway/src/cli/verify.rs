//! `sluice verify`: is a service served in the version that was rolled out?

use super::everybody::{ask, get};
use super::services::print_table;
use super::steer::Common;
use super::{Exit, Failure, Terminal};
use crate::diagnostics::verify::{Verdict, Verified};

/// Arguments of `sluice verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which service.
    service: String,
    /// The `config_version` that its workers should run.
    version: String,
    #[command(flatten)]
    common: Common,
}

/// Asks all gateways: 0 if every live instance runs that version, 1 if not or if none lives, 3 if
/// nobody knows the service, or its workers announce no version.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let asked = get(["verify", &args.service, &args.version]);
    let (answer, answers) = ask::<Verified>(&args.common, &asked).await?;
    let silent = answers.gateways.iter().any(|said| said.error.is_some());
    let results: Vec<Verdict> = answers.all().map(|(_, v)| v.result).collect();
    let exit = judge(&results, silent);
    if args.common.json {
        args.common.print(&answer, terminal)?;
        return Ok(exit);
    }
    let head = ["GATEWAY", "RESULT", "VERSIONS", "INSTANCES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (gateway, verified) in answers.all() {
        let result = match verified.result {
            Verdict::Matched => "matched",
            Verdict::Mismatch => "mismatch",
            Verdict::NotFound => "not found",
            Verdict::NoVersion => "its workers announce no config_version",
            Verdict::NoInstances => "no instance lives",
        };
        let (matching, live) = (verified.matching_instances, verified.live_instances);
        rows.push(vec![
            gateway.to_owned(),
            result.to_owned(),
            verified.versions.join(", "),
            format!("{matching} of {live}"),
        ]);
    }
    print_table(&rows, terminal)?;
    answers.tell_silent(terminal)?;
    Ok(exit)
}

fn judge(results: &[Verdict], silent: bool) -> Exit {
    let knows_none = |r: &Verdict| matches!(r, Verdict::NotFound | Verdict::NoVersion);
    if results.iter().all(knows_none) {
        Exit::Between
    } else if !silent && results.iter().all(|r| *r == Verdict::Matched) {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gateway_counts() {
        use Verdict::{Matched, Mismatch, NoInstances, NoVersion, NotFound};
        for (results, silent, exit) in [
            (vec![Matched, Matched], false, Exit::Ok),
            (vec![Matched], true, Exit::Failed),
            (vec![Matched, Mismatch], false, Exit::Failed),
            (vec![Matched, NotFound], false, Exit::Failed),
            (vec![NotFound], false, Exit::Between),
            (vec![NoVersion, NotFound], false, Exit::Between),
            (vec![NoVersion, Matched], false, Exit::Failed),
            (vec![NoInstances], false, Exit::Failed),
            (vec![Matched, NoInstances], false, Exit::Failed),
        ] {
            assert_eq!(judge(&results, silent), exit, "{results:?} {silent}");
        }
    }
}
