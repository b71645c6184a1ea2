//! `sluice check`: reports every mistake of a configuration.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::terminal::printable;
use super::{Exit, Failure, Terminal};
use crate::config::{Config, Environment, Invalid, Mistake};

/// Arguments of `sluice check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The TOML file; without it the environment alone is checked.
    #[arg(
        long,
        value_name = "FILE",
        env = "SLUICE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Report as JSON: `{"ok", "mistakes": [{"file", "line", "column", "env", "option",
    /// "message"}], "warnings"}`.
    #[arg(long)]
    json: bool,
}

/// Reads a configuration as `sluice serve` would, from the file and the environment.
pub(super) fn run(
    args: &Args,
    env: &Environment,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let (ok, invalid) = match Config::load(args.config.as_deref(), env) {
        Ok(loaded) => (
            true,
            Invalid {
                mistakes: Vec::new(),
                warnings: loaded.warnings,
            },
        ),
        Err(invalid) => (false, invalid),
    };
    if args.json {
        let list = |mistakes: &[Mistake]| mistakes.iter().map(Mistake::to_json).collect::<Value>();
        let report = json!({
            "ok": ok,
            "mistakes": list(&invalid.mistakes),
            "warnings": list(&invalid.warnings),
        });
        writeln!(terminal.out, "{report:#}")?;
    } else {
        report(&invalid, terminal)?;
        if ok {
            let source = match &args.config {
                Some(path) => format!("{} and the environment", path.display()),
                None => "the environment".to_owned(),
            };
            writeln!(terminal.out, "ok: the configuration of {source} is right")?;
        }
    }
    Ok(if ok { Exit::Ok } else { Exit::Usage })
}

/// Lists mistakes and warnings for people.
pub(super) fn report(invalid: &Invalid, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    for warning in &invalid.warnings {
        let text = printable(&warning.to_string());
        writeln!(terminal.err, "warning: {text}")?;
    }
    for mistake in &invalid.mistakes {
        terminal.error(&mistake.to_string())?;
    }
    match invalid.mistakes.len() {
        0 => {}
        1 => writeln!(terminal.err, "the configuration has one mistake")?,
        n => writeln!(terminal.err, "the configuration has {n} mistakes")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Output;
    use super::*;

    fn check(config: &str, json: bool, env: &[(&str, &str)]) -> (Exit, Output) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let args = Args {
            config: Some(file.path().to_owned()),
            json,
        };
        let mut output = Output::default();
        let env = env.iter().copied().collect();
        let exit = run(&args, &env, &mut output.terminal()).unwrap();
        (exit, output)
    }

    #[test]
    fn a_right_configuration_is_said_to_be_so() {
        let (exit, output) = check("[registry]\nopen = true", false, &[("SLUICE_X", "1")]);
        assert_eq!(exit, Exit::Ok);
        assert!(output.out().starts_with("ok: "), "{output:?}");
        assert!(
            output
                .err()
                .starts_with("warning: environment SLUICE_X: no option")
        );
    }

    #[test]
    fn all_mistakes_are_listed() {
        let (exit, output) = check("a = 1\nb = 2\n", false, &[]);
        assert_eq!(exit, Exit::Usage);
        assert_eq!(output.err().matches("error: ").count(), 3, "{output:?}");
        assert!(output.err().ends_with("has 3 mistakes\n"));
        assert_eq!(output.out(), "");
    }

    #[test]
    fn the_report_as_json() {
        let (exit, output) = check("[http]\nlisen = 1", true, &[("SLUICE_REGISTRY_OPEN", "1")]);
        assert_eq!(exit, Exit::Usage);
        let report: Value = serde_json::from_str(&output.out()).unwrap();
        assert_eq!(report["ok"], false);
        assert_eq!(report["mistakes"][0]["line"], 2);
        assert_eq!(report["mistakes"][0]["option"], "http.lisen");
        assert_eq!(output.err(), "");
        let (exit, output) = check("[registry]\nopen = true", true, &[]);
        assert_eq!(exit, Exit::Ok);
        let report: Value = serde_json::from_str(&output.out()).unwrap();
        assert_eq!(report, json!({"ok": true, "mistakes": [], "warnings": []}));
    }
}
