//! A view as text, for pipes; the cells are those of the screen.

use crate::cli::services::print_table;
use crate::cli::terminal::printable;
use crate::cli::traffic::{FunctionLine, InstanceLine, View};
use crate::cli::{Failure, Terminal};

/// Heads of the functions' columns; calls are those of the last second, all else of the last
/// minute.
pub(super) const FUNCTIONS: [&str; 7] = [
    "FUNCTION", "CALLS/S", "ERR/MIN", "MOSTLY", "P50", "P99", "BREAKER",
];
/// Heads of the instances' columns; `FAILED` is since the gateways started, all else of the last
/// minute.
pub(super) const INSTANCES: [&str; 8] = [
    "INSTANCE", "CALLS/S", "ERR/MIN", "FAILED", "P99", "IN FL", "STATE", "BREAKER",
];
/// What the figures are of.
pub(super) const LEGEND: &str =
    "ERR/MIN: share that failed in the last minute; FAILED: since the start";

/// Prints all of it.
pub(in crate::cli) fn print(view: &View, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    writeln!(terminal.out, "{}\n", printable(&headline(view)))?;
    let mut rows = vec![FUNCTIONS.map(str::to_owned).to_vec()];
    rows.extend(view.functions.iter().map(|f| function(f).to_vec()));
    print_table(&rows, terminal)?;
    if !view.instances.is_empty() {
        writeln!(terminal.out)?;
        let mut rows = vec![INSTANCES.map(str::to_owned).to_vec()];
        rows.extend(view.instances.iter().map(|i| instance(i).to_vec()));
        print_table(&rows, terminal)?;
    }
    writeln!(terminal.err, "\n{LEGEND}")?;
    Ok(())
}

/// All in one line.
pub(super) fn headline(view: &View) -> String {
    let (rate, failed) = view.total();
    let silent = match view.silent.len() {
        0 => String::new(),
        n => format!(" ({n} silent)"),
    };
    format!(
        "{} gateways{silent}  {} functions  {} instances  {} calls/s  {} failed  {} breakers not closed",
        view.gateways,
        view.functions.len(),
        view.instances.len(),
        number(rate),
        percent(failed),
        view.open()
    )
}

/// The cells of a function.
pub(super) fn function(line: &FunctionLine) -> [String; 7] {
    [
        line.name.clone(),
        number(line.rate_1s),
        percent(line.error_rate),
        line.mostly.clone().unwrap_or_else(|| "-".to_owned()),
        millis(line.p50_ms),
        millis(line.p99_ms),
        line.breaker.clone(),
    ]
}

/// The cells of an instance.
pub(super) fn instance(line: &InstanceLine) -> [String; 8] {
    let load = match line.capacity {
        0 => line.in_flight.to_string(),
        capacity => format!("{}/{capacity}", line.in_flight),
    };
    [
        line.name.clone(),
        number(line.rate_1m),
        percent(line.error_rate),
        format!("{}/{}", short(line.errors), short(line.calls)),
        millis(line.p99_ms),
        load,
        line.state.clone(),
        line.breaker.clone(),
    ]
}

/// `0`, `0.4`, `12`, `3.4k`
fn number(n: f64) -> String {
    match n {
        n if n < 0.05 => "0".to_owned(),
        n if n < 10.0 => format!("{n:.1}"),
        n if n < 10_000.0 => format!("{n:.0}"),
        n => format!("{:.1}k", n / 1000.0),
    }
}

fn short(n: u64) -> String {
    match n {
        0..100_000 => n.to_string(),
        100_000..10_000_000 => format!("{}k", n / 1000),
        n => format!("{}M", n / 1_000_000),
    }
}

/// A share of calls that is small but not nothing does not read as nothing.
fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "<0.1 %".to_owned(),
        p if p < 10.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms if ms < 10_000.0 => format!("{ms:.0}ms"),
        ms => format!("{:.0}s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let numbers = [0.0, 0.4, 12.3, 3400.0, 34_000.0].map(number);
        assert_eq!(numbers, ["0", "0.4", "12", "3400", "34.0k"]);
        let shares = [0.0, 0.0001, 0.023, 1.0].map(percent);
        assert_eq!(shares, ["0 %", "<0.1 %", "2.3 %", "100 %"]);
        let times = [0.25, 42.0, 12_000.0].map(millis);
        assert_eq!(times, ["0.2ms", "42ms", "12s"]);
        assert_eq!(short(123_456), "123k");
    }
}
