//! `sluice limits`: rate limits; added, changed, removed; one call counted by hand.

use reqwest::Method;
use serde_json::{Value, json};

use super::operator::decode;
use super::services::print_table;
use super::steer::{Asked, Common, Steered};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice limits`.
pub(super) type Args = Steered<Command>;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List limits.
    List,
    /// What a key has used of a limit. Counts nothing.
    Status(Key),
    /// Count one call of a key, as a call would, and say whether it is admitted.
    Check(Key),
    /// Forget what a key has used; without values, what all keys have.
    Reset(Key),
    /// Add a limit at all gateways, or change one: it is as it is told here, whatever it was.
    Set(Box<Set>),
    /// Remove a limit at all gateways.
    Remove {
        /// The limit's name.
        limit: String,
    },
}

/// A limit, as `[[limit]]` of the configuration has it.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// The limit's name.
    limit: String,
    /// What is counted apart: `user_id`, `device_id`, `address`, `api_key`, `arg:NAME`, several with commas.
    #[arg(long)]
    key: String,
    /// Calls that are admitted in a window.
    #[arg(long, value_name = "N")]
    max_requests: u64,
    /// The window, in milliseconds.
    #[arg(long, value_name = "MS")]
    window_ms: u64,
    /// Only calls of this service.
    #[arg(long)]
    service: Option<String>,
    /// Only calls of this function.
    #[arg(long, requires = "service")]
    function: Option<String>,
    /// As how many one call counts.
    #[arg(long, value_name = "N")]
    cost: Option<u64>,
    /// Count and report, and admit all the same.
    #[arg(long)]
    shadow: bool,
    /// Only calls of API keys that name it.
    #[arg(long)]
    named_only: bool,
}

impl Set {
    fn body(&self) -> Value {
        let mut body = json!({
            "key": self.key,
            "max_requests": self.max_requests,
            "window_ms": self.window_ms,
            "shadow": self.shadow,
            "named_only": self.named_only,
        });
        for (name, text) in [("service", &self.service), ("function", &self.function)] {
            if let Some(text) = text {
                body[name] = text.as_str().into();
            }
        }
        if let Some(cost) = self.cost {
            body["cost"] = cost.into();
        }
        body
    }
}

/// Which key of which limit.
#[derive(Debug, clap::Args)]
pub struct Key {
    /// The limit's name.
    limit: String,
    /// One value for each part of the limit's key, in its order: `ann` for `user`.
    values: Vec<String>,
}

/// Asks once; `check` ends with 1 if the call would be refused.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match &args.command {
        Command::List => {
            let columns = [
                ("LIMIT", "limit.name"),
                ("SERVICE", "limit.service"),
                ("FUNCTION", "limit.function"),
                ("KEY", "limit.key"),
                ("MAX", "limit.max_requests"),
                ("WINDOW", "limit.window_ms"),
                ("SHADOW", "limit.shadow"),
                ("PLAN", "limit.named_only"),
            ];
            let asked = Asked::new(Method::GET, ["limits"]);
            args.common.list(&asked, "limits", &columns, terminal).await
        }
        Command::Status(key) => {
            let asked = of(key, Method::GET, None);
            let answer = args.common.ask(&asked).await?;
            if args.common.json {
                return args.common.print(&answer, terminal);
            }
            let told: Value = decode(&answer)?;
            print_table(&table(&told, key), terminal)?;
            Ok(Exit::Ok)
        }
        Command::Set(set) => {
            let path = ["limits", set.limit.as_str()];
            let asked = Asked::new(Method::PUT, path).body(set.body());
            let (name, max, window) = (&set.limit, set.max_requests, set.window_ms);
            let done = format!("{name}: {max} in {window} ms, at all gateways");
            args.common.change(&asked, &done, terminal).await
        }
        Command::Remove { limit } => {
            let asked = Asked::new(Method::DELETE, ["limits", limit.as_str()]);
            let done = format!("{limit}: removed at all gateways");
            args.common.change(&asked, &done, terminal).await
        }
        Command::Reset(key) => {
            let asked = of(key, Method::POST, Some("reset"));
            let whose = match key.values.is_empty() {
                true => "all keys".to_owned(),
                false => key.values.join(", "),
            };
            let done = format!("{}: reset for {whose}, at all gateways", key.limit);
            args.common.change(&asked, &done, terminal).await
        }
        Command::Check(key) => check(&args.common, key, terminal).await,
    }
}

/// A limit, and what a key has used of it.
fn table(told: &Value, key: &Key) -> Vec<Vec<String>> {
    let limit = &told["limit"];
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let max = format!(
        "{} in {} ms",
        text(&limit["max_requests"]),
        text(&limit["window_ms"])
    );
    let of = match (limit["service"].as_str(), limit["function"].as_str()) {
        (Some(service), Some(function)) => format!("{service}.{function}"),
        (Some(service), None) => service.to_owned(),
        _ => "all calls".to_owned(),
    };
    let mut rows = vec![
        ("LIMIT", text(&limit["name"])),
        ("OF", of),
        ("KEY", text(&limit["key"])),
        ("MAX", max),
        ("COST", text(&limit["cost"])),
        ("SHADOW", text(&limit["shadow"])),
        ("REFUSED HERE", text(&told["refused"])),
    ];
    if told["key"].is_object() {
        rows.push(("OF THE KEY", key.values.join(", ")));
        rows.push(("USED", text(&told["key"]["current_requests"])));
        rows.push(("LEFT", text(&told["key"]["remaining"])));
    }
    let row = |(name, value): (&str, String)| vec![name.to_owned(), value];
    rows.into_iter().map(row).collect()
}

async fn check(common: &Common, key: &Key, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let answer = common.ask(&of(key, Method::POST, Some("check"))).await?;
    let told: Value = decode(&answer)?;
    let admitted = told["admitted"] == true;
    let exit = if admitted { Exit::Ok } else { Exit::Failed };
    if common.json {
        common.print(&answer, terminal)?;
        return Ok(exit);
    }
    let line = match (admitted, told["remaining"].as_u64()) {
        (true, Some(left)) => format!("{}: admitted and counted, {left} left", key.limit),
        (true, None) => format!("{}: admitted", key.limit),
        (false, _) => {
            let why = told["error"].as_str().unwrap_or("refused");
            let wait = told["details"]["retry_after_ms"].as_u64();
            let wait = wait.map_or_else(String::new, |ms| format!("; again in {ms} ms"));
            format!("{}: refused: {why}{wait}", key.limit)
        }
    };
    writeln!(terminal.out, "{}", printable(&line))?;
    Ok(exit)
}

fn of<'a>(key: &'a Key, method: Method, what: Option<&'a str>) -> Asked<'a> {
    let path = ["limits", key.limit.as_str()].into_iter().chain(what);
    let values = key.values.iter();
    values.fold(Asked::new(method, path), |asked, value| {
        asked.with("value", Some(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_and_what_a_key_has_used_are_a_table() {
        let key = Key {
            limit: "five".to_owned(),
            values: vec!["ann".to_owned()],
        };
        let told = json!({
            "limit": {"name": "five", "service": "demo", "key": "user_id", "max_requests": 5,
                "window_ms": 1000, "cost": 1, "shadow": false},
            "refused": 3, "key": {"current_requests": 2, "remaining": 3},
        });
        let rows = table(&told, &key);
        let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap()[1].clone();
        assert_eq!(row("MAX"), "5 in 1000 ms");
        assert_eq!(row("OF"), "demo");
        assert_eq!(
            (row("OF THE KEY"), row("USED"), row("LEFT")),
            ("ann".into(), "2".into(), "3".into())
        );
        let unasked = table(&json!({"limit": {"name": "five"}, "refused": 0}), &key);
        assert!(unasked.iter().all(|row| row[0] != "USED"));
    }
}
