//! `sluice config`: the configuration of a gateway as it runs.

use reqwest::Method;
use serde_json::Value;

use super::operator::decode;
use super::services::print_table;
use super::steer::{Asked, Common};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only options whose names contain this: `jwt`, or `timeout`.
    part: Option<String>,
    /// Also options that have their defaults.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

/// Asks once.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let answer = args
        .common
        .ask(&Asked::new(Method::GET, ["config"]))
        .await?;
    if args.common.json {
        return args.common.print(&answer, terminal);
    }
    let told: Value = decode(&answer)?;
    let rows = rows(&told["config"], args.all, args.part.as_deref());
    if rows.is_empty() {
        writeln!(terminal.err, "nothing but defaults (--all shows them)")?;
        return Ok(Exit::Ok);
    }
    print_table(&rows, terminal)?;
    Ok(Exit::Ok)
}

/// A row for each option; lists of tables have one for each table.
fn rows(config: &Value, all: bool, part: Option<&str>) -> Vec<Vec<String>> {
    let none = serde_json::Map::new();
    let mut rows = Vec::new();
    for (section, options) in config.as_object().unwrap_or(&none) {
        for (option, told) in options.as_object().unwrap_or(&none) {
            if all || told["default"] == false {
                rows.push(vec![
                    format!("{section}.{option}"),
                    told["value"].to_string(),
                ]);
            }
        }
        for (n, table) in options.as_array().into_iter().flatten().enumerate() {
            rows.push(vec![format!("[[{section}]] {}", n + 1), table.to_string()]);
        }
    }
    rows.retain(|row| part.is_none_or(|part| row[0].contains(part)));
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_that_are_no_defaults_have_a_row() {
        let config = json!({
            "http": {"listen": {"value": "x:1", "default": false}, "n": {"value": 1, "default": true}},
            "limit": [{"name": "l"}],
        });
        let names = |all, part| -> Vec<String> {
            let rows = rows(&config, all, part).into_iter();
            rows.map(|row| row.join(" ")).collect()
        };
        let limit = r#"[[limit]] 1 {"name":"l"}"#;
        assert_eq!(names(false, None), [r#"http.listen "x:1""#, limit]);
        assert_eq!(names(true, Some("http.n")), ["http.n 1"]);
        assert!(names(false, Some("http.n")).is_empty());
    }
}
