//! Interleaved rounds: each variant runs right after what it is compared with, in every round: a
//! machine that drifts within seconds drifts for both.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::report;
use crate::stage::{Program, Stage};
use crate::variant::{Variant, all};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds that each variant is measured in each round.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Rounds; odd, for the median's sake.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only variants whose name contains this, and what they are compared with.
    #[arg(long)]
    only: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write plots (SVG) into this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// Time for connections and caches to settle.
const WARM_UP: Duration = Duration::from_millis(300);

/// One variant in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of the program that is measured.
    pub(crate) cpu_us: f64,
    pub(crate) errors: u64,
}

/// One variant over all rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) against: Option<&'static str>,
    pub(crate) program: Program,
    pub(crate) samples: Vec<Sample>,
    /// The ratios to `against`, each to the run of it just before.
    compared: Vec<Ratios>,
    /// Their medians.
    pub(crate) ratios: Option<Ratios>,
}

/// This over that.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Ratios {
    pub(crate) rate: f64,
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

pub(crate) async fn run(args: Args) -> Result {
    build_gateway()?;
    let variants = chosen(args.only.as_deref());
    let stage = Stage::start().await?;
    let length = Duration::from_secs_f64(args.seconds);
    let mut rows: Vec<Row> = variants.iter().map(Row::of).collect();
    for round in 1..=args.rounds {
        for (floor, index) in pairs(&variants) {
            let theirs = match floor {
                Some(floor) => Some(told(&stage, &variants[floor], length, round).await?),
                None => None,
            };
            let ours = told(&stage, &variants[index], length, round).await?;
            if let (Some(floor), Some(theirs)) = (floor, theirs) {
                rows[index].compared.push(Ratios::of(&ours, &theirs));
                rows[floor].samples.push(theirs);
            }
            rows[index].samples.push(ours);
        }
    }
    drop(stage);
    for row in &mut rows {
        row.ratios = Ratios::medians(&row.compared);
    }
    if let Some(folder) = &args.plots {
        report::plots(&rows, folder)?;
    }
    if args.json {
        report::json(&rows)
    } else {
        report::table(&rows);
        Ok(())
    }
}

/// The gateway that is measured is the one of this tree, built as this program is.
pub(crate) fn build_gateway() -> Result {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // `cargo run` tells us of our package; build scripts that see that would run again, and all
    // that depends on them would be built twice.
    for (name, _) in std::env::vars_os() {
        if names_our_package(&name.to_string_lossy()) {
            build.env_remove(name);
        }
    }
    build.args([
        "build",
        "--quiet",
        "-p",
        "sluice-gateway",
        "-p",
        "sluice-bench",
        "--bins",
    ]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if build.status()?.success() {
        return Ok(());
    }
    Err("the gateway does not build".into())
}

fn names_our_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

fn chosen(only: Option<&str>) -> Vec<Variant> {
    let all = all();
    let Some(only) = only else { return all };
    let mut names: Vec<String> = Vec::new();
    // Backwards: what something is compared with stands before it.
    for variant in all.iter().rev() {
        if variant.name.contains(only) || names.contains(&variant.name) {
            names.push(variant.name.clone());
            names.extend(variant.against.map(str::to_owned));
        }
    }
    let keep = |v: &&Variant| names.contains(&v.name);
    all.iter().filter(keep).cloned().collect()
}

/// Measures, and says what came of it.
#[expect(clippy::print_stderr, reason = "progress of a command line")]
async fn told(stage: &Stage, variant: &Variant, length: Duration, round: usize) -> Result<Sample> {
    let sample = measure(stage, variant, length).await?;
    eprintln!(
        "round {round}: {}: {:.0}/s",
        variant.name, sample.per_second
    );
    Ok(sample)
}

async fn measure(stage: &Stage, variant: &Variant, length: Duration) -> Result<Sample> {
    let before = stage.cpu(variant.program)?;
    let began = tokio::time::Instant::now();
    let tally = variant.run(stage, WARM_UP, length).await;
    let (took, used) = (began.elapsed(), stage.cpu(variant.program)? - before);
    if let Some(error) = tally.first_error {
        return Err(format!(
            "{}: {} errors, the first: {error}",
            variant.name, tally.errors
        )
        .into());
    }
    let count = tally.count as f64;
    let per_second = count / length.as_secs_f64();
    // CPU was counted over the warm-up too, at the same rate.
    let in_all = per_second * took.as_secs_f64();
    let micros = |quantile| tally.times.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Sample {
        per_second,
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        cpu_us: used.as_secs_f64() * 1e6 / in_all.max(1.0),
        errors: tally.errors,
    })
}

/// What is measured in a round: each variant, right after what it is compared with.
fn pairs(variants: &[Variant]) -> Vec<(Option<usize>, usize)> {
    let floor_of = |variant: &Variant| {
        let against = variant.against?;
        variants.iter().position(|v| v.name == against)
    };
    let all = variants.iter().enumerate();
    let pairs = all.map(|(index, variant)| (floor_of(variant), index));
    let is_floor = |index: usize| variants.iter().any(|v| floor_of(v) == Some(index));
    // Floors are measured with each of those that are compared with them.
    pairs
        .filter(|(floor, index)| floor.is_some() || !is_floor(*index))
        .collect()
}

impl Ratios {
    fn of(ours: &Sample, theirs: &Sample) -> Self {
        let ratio = |of: fn(&Sample) -> f64| of(ours) / of(theirs);
        Self {
            rate: ratio(|s| s.per_second),
            cpu: ratio(|s| s.cpu_us),
            p50: ratio(|s| s.p50_us),
            p99: ratio(|s| s.p99_us),
        }
    }

    fn medians(all: &[Self]) -> Option<Self> {
        let of = |ratio: fn(&Self) -> f64| median(all.iter().map(ratio).collect());
        (!all.is_empty()).then(|| Self {
            rate: of(|r| r.rate),
            cpu: of(|r| r.cpu),
            p50: of(|r| r.p50),
            p99: of(|r| r.p99),
        })
    }
}

impl Row {
    fn of(variant: &Variant) -> Self {
        Self {
            name: variant.name.clone(),
            against: variant.against,
            program: variant.program,
            samples: Vec::new(),
            compared: Vec::new(),
            ratios: None,
        }
    }

    /// The median of one figure, and its range.
    pub(crate) fn median(&self, of: fn(&Sample) -> f64) -> (f64, f64, f64) {
        let values: Vec<f64> = self.samples.iter().map(of).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        (median(values), low, high)
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, wanted) in [
            (vec![3.0, 1.0, 2.0], 2.0),
            (vec![4.0, 1.0], 2.5),
            (vec![7.0], 7.0),
        ] {
            assert!((median(values) - wanted).abs() < 1e-9);
        }
    }

    #[test]
    fn all_are_measured_each_right_after_what_it_is_compared_with() {
        let variants = all();
        let pairs = pairs(&variants);
        for (index, variant) in variants.iter().enumerate() {
            let own: Vec<_> = pairs.iter().filter(|(_, i)| *i == index).collect();
            match variant.against {
                Some(name) => {
                    let floor = own[0].0.map(|f| variants[f].name.as_str());
                    assert_eq!((own.len(), floor), (1, Some(name)), "{}", variant.name);
                }
                None => {
                    let others = pairs.iter().filter(|(floor, _)| *floor == Some(index));
                    assert!(others.count() + own.len() > 0, "{}", variant.name);
                }
            }
        }
    }

    #[test]
    fn what_is_chosen_brings_its_floor() {
        let names: Vec<_> = chosen(Some("Phoenix reply only, 16"))
            .into_iter()
            .map(|v| v.name)
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].starts_with("floor c"));
    }
}
