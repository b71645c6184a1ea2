//! What commands share that look at lists of the admin API and change one thing of them.

use reqwest::Method;
use serde_json::Value;

use super::client::Answer;
use super::json::{Layout, lay_out};
use super::operator::{Admin, decode};
use super::services::print_table;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// How the admin API is reached, and how its answers are printed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Print the answer of the admin API.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// A command of the admin API, and how that is reached.
#[derive(Debug, clap::Args)]
pub struct Steered<C: clap::Subcommand> {
    #[command(subcommand)]
    pub(super) command: C,
    #[command(flatten)]
    pub(super) common: Common,
}

/// One request: the parts of its path as they are, its query, its body.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(&'a str, &'a str)>,
    pub(super) body: Option<Value>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            method,
            path: path.into_iter().collect(),
            query: Vec::new(),
            body: None,
        }
    }

    /// With a parameter, if there is a value.
    pub(super) fn with(mut self, name: &'a str, value: Option<&'a str>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    /// Only of the gateway that is asked, where it would ask the others too.
    pub(super) fn here(self, here: bool) -> Self {
        self.with("here", here.then_some("true"))
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

impl Common {
    /// Sends it; an answer that is no success is a failure that says why.
    pub(super) async fn ask(&self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        let gateway = self.admin.gateway()?;
        let mut url = gateway.url("/v1")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(&asked.path);
        }
        if !asked.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&asked.query);
        }
        let body = asked.body.as_ref().map(Value::to_string);
        let request = gateway.request(asked.method.clone(), url, body);
        self.admin.send(&gateway, request).await
    }

    /// Sends a change, and says what was done.
    pub(super) async fn change(
        &self,
        asked: &Asked<'_>,
        done: &str,
        terminal: &mut Terminal<'_>,
    ) -> Result<Exit, Failure> {
        let answer = self.ask(asked).await?;
        let told: Value = decode(&answer)?;
        let unknown = told["known"] == false;
        let exit = if unknown { Exit::Between } else { Exit::Ok };
        if self.json {
            self.print(&answer, terminal)?;
            return Ok(exit);
        }
        if unknown {
            let (name, _) = done.split_once(": ").unwrap_or((done, ""));
            let there_are = there_are(&told["versions"]);
            let text = "nothing has changed now, it will hold as soon as that comes";
            let line = printable(&format!("{name}: {there_are}: {text}"));
            writeln!(terminal.err, "{line}")?;
        } else {
            writeln!(terminal.out, "{}", printable(done))?;
        }
        tell_silent(&told["gateways"], terminal)?;
        Ok(exit)
    }

    /// Sends a question, and prints the list `name` of the answer: a column for each of `columns`,
    /// its head and where its value stands.
    pub(super) async fn list(
        &self,
        asked: &Asked<'_>,
        name: &str,
        columns: &[(&str, &str)],
        terminal: &mut Terminal<'_>,
    ) -> Result<Exit, Failure> {
        let answer = self.ask(asked).await?;
        if self.json {
            return self.print(&answer, terminal);
        }
        let told: Value = decode(&answer)?;
        let all = told[name].as_array().map(Vec::as_slice).unwrap_or_default();
        tell_silent(&told["silent"], terminal)?;
        if all.is_empty() {
            writeln!(terminal.err, "no {name}")?;
            return Ok(Exit::Ok);
        }
        let head = columns.iter().map(|(head, _)| (*head).to_owned());
        let mut rows = vec![head.collect::<Vec<_>>()];
        for one in all {
            rows.push(columns.iter().map(|(_, at)| cell(one, at)).collect());
        }
        print_table(&rows, terminal)?;
        let total = told["total"].as_u64().unwrap_or(0);
        if total > all.len() as u64 {
            writeln!(terminal.err, "{} of {total}", all.len())?;
        }
        Ok(Exit::Ok)
    }

    /// Prints an answer as it came, laid out.
    pub(super) fn print(
        &self,
        answer: &Answer,
        terminal: &mut Terminal<'_>,
    ) -> Result<Exit, Failure> {
        let text = String::from_utf8_lossy(&answer.body);
        writeln!(terminal.out, "{}", lay_out(&text, Layout::Indented))?;
        Ok(Exit::Ok)
    }
}

/// Tells of the gateways of a list that said nothing, and why.
pub(super) fn tell_silent(gateways: &Value, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    for said in gateways.as_array().map(Vec::as_slice).unwrap_or_default() {
        if let (Some(gateway), Some(error)) = (said["gateway"].as_str(), said["error"].as_str()) {
            let line = printable(&format!("gateway {gateway}: {error}"));
            writeln!(terminal.err, "{line}")?;
        }
    }
    Ok(())
}

/// Which versions of a function there are, where somebody named another one.
fn there_are(versions: &Value) -> String {
    let all = versions.as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
    match (all.len(), named.len()) {
        (0, _) => "this gateway knows no such function".to_owned(),
        (1, 0) => "it has one version, without a name".to_owned(),
        (all, named_ones) => {
            let more = if all > named_ones {
                ", and one without a name"
            } else {
                ""
            };
            format!("it has the versions {}{more}", named.join(", "))
        }
    }
}

/// A value for people: `a.b` is the field `b` of the field `a`; a time that ends in `_ms` or
/// `_ms_ago` is shown in seconds.
fn cell(one: &Value, at: &str) -> String {
    let value = at.split('.').fold(one, |value, field| &value[field]);
    match value {
        Value::Null | Value::Bool(false) => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(ms) if at.ends_with("_ms") || at.ends_with("ms_ago") => {
            format!("{:.1} s", ms.as_f64().unwrap_or(0.0) / 1000.0)
        }
        Value::Number(secs) if matches!(at.rsplit('.').next(), Some("sunset" | "at" | "last")) => {
            date(secs.as_i64().unwrap_or(0))
        }
        other => other.to_string(),
    }
}

fn date(secs: i64) -> String {
    jiff::Timestamp::from_second(secs)
        .map_or_else(|_| secs.to_string(), |at| at.strftime("%F").to_string())
}

/// Reads a moment: `2026-06-30` (its first second in UTC), `2026-06-30T12:00:00Z`, or seconds since
/// 1970.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let secs = if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() == 10
    {
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
        midnight.ok().map(|at| at.timestamp().as_second())
    } else if let Ok(at) = text.parse::<jiff::Timestamp>() {
        Some(at.as_second())
    } else {
        text.parse().ok()
    };
    let secs = secs.and_then(|secs| u64::try_from(secs).ok());
    secs.ok_or_else(|| {
        "write a date, 2026-06-30, a time, 2026-06-30T12:00:00Z, or seconds since 1970".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("2023-07-01"), Ok(1_688_169_600));
        assert_eq!(moment("2023-06-30T23:59:59Z"), Ok(1_688_169_599));
        assert_eq!(moment("1688169599"), Ok(1_688_169_599));
        for wrong in [
            "",
            "soon",
            "2023-13-01",
            "-5",
            "1900-01-01",
            "2023-06-30T25:00:00Z",
        ] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cells() {
        let one = json!({
            "a": {"b": "x"}, "yes": true, "no": false, "age_ms": 1500, "n": 7,
            "deprecation": {"at": 1_688_169_600},
        });
        for (at, expected) in [
            ("a.b", "x"),
            ("a.c.d", "-"),
            ("yes", "yes"),
            ("no", "-"),
            ("age_ms", "1.5 s"),
            ("n", "7"),
            ("deprecation.at", "2023-07-01"),
        ] {
            assert_eq!(cell(&one, at), expected, "{at}");
        }
    }
}
