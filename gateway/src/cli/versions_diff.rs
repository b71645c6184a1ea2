//! `sluice versions diff`: what lies between two versions of a service, as its clients see it.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_protocol::change::{Change, Versions};

use super::json::{Layout, lay_out};
use super::operator::decode;
use super::steer::{Asked, Common};
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice versions diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which service.
    service: String,
    /// The older version.
    from: String,
    /// The newer one; without it, today's.
    to: Option<String>,
    /// Only of this function.
    #[arg(long)]
    function: Option<String>,
}

/// Asks for the service's versions, and tells the changes between two of them.
pub(super) async fn run(
    common: &Common,
    args: &Args,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let asked = Asked::new(Method::GET, ["services", args.service.as_str()]);
    let told: Value = decode(&common.ask(&asked).await?)?;
    let versions = match &told["versions"] {
        Value::Null => Versions::default(),
        listed => Versions::from_json(listed)
            .map_err(|_| failed("the gateway's list of versions is not understood".to_owned()))?,
    };
    let changes = between(args, &versions)?;
    if common.json {
        let all: Vec<Value> = changes.iter().map(|c| c.to_json()).collect();
        let text = json!({ "changes": all }).to_string();
        writeln!(terminal.out, "{}", lay_out(&text, Layout::Indented))?;
        return Ok(Exit::Ok);
    }
    if changes.is_empty() {
        writeln!(terminal.err, "nothing has changed in between")?;
    }
    for change in changes {
        print(&change, terminal)?;
    }
    Ok(Exit::Ok)
}

fn failed(text: String) -> Failure {
    Failure::Failed(text)
}

/// One change on the way, and the version that it leads away from.
struct Found<'v> {
    version: &'v str,
    change: &'v Change,
}

fn between<'v>(args: &Args, versions: &'v Versions) -> Result<Vec<Found<'v>>, Failure> {
    let names: Vec<&str> = versions.names().map(|name| name.as_str()).collect();
    let place = |wanted: &str| {
        let found = names.iter().position(|name| *name == wanted);
        found.ok_or_else(|| {
            let known = match names.is_empty() {
                true => "it lists none".to_owned(),
                false => format!("it lists {}", names.join(", ")),
            };
            let service = &args.service;
            failed(format!(
                "{service} has no version {wanted:?} to translate: {known}"
            ))
        })
    };
    let start = place(&args.from)?;
    let end = match &args.to {
        Some(to) => place(to)?,
        None => names.len(),
    };
    if end < start {
        let (from, to) = (&args.from, args.to.as_deref().unwrap_or_default());
        return Err(failed(format!(
            "{from} is newer than {to}: name the older one first"
        )));
    }
    let concerned = |change: &&Change| {
        let function = args.function.as_deref();
        function.is_none_or(|function| change.functions.includes(function))
    };
    let all = versions.0[start..end].iter().flat_map(|version| {
        let changes = version.changes.iter().filter(concerned);
        changes.map(|change| Found {
            version: version.version.as_str(),
            change,
        })
    });
    Ok(all.collect())
}

impl Found<'_> {
    fn to_json(&self) -> Value {
        let mut out = self.change.to_json();
        out["version"] = self.version.into();
        out
    }
}

fn print(found: &Found<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let told = found.change.to_json();
    let functions = match &told["functions"] {
        Value::Array(all) => {
            let names: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            names.join(", ").replace('*', "all functions")
        }
        _ => String::new(),
    };
    let head = format!("{}  {}  ({functions})", found.version, found.change.name);
    writeln!(terminal.out, "{}", printable(&head))?;
    if found.change.code {
        writeln!(terminal.out, "    in the worker's code")?;
    }
    let parts = match &told["request"] {
        Value::Object(parts) => parts.clone(),
        whole => [("args".to_owned(), whole.clone())].into_iter().collect(),
    };
    let parts = parts.iter().map(|(part, list)| (part.as_str(), list));
    for (part, list) in parts.chain([("result", &told["response"])]) {
        for operation in list.as_array().into_iter().flatten() {
            let line = format!("    {part:<7} {}", said(operation));
            writeln!(terminal.out, "{}", printable(&line))?;
        }
    }
    Ok(())
}

/// An operation for people.
fn said(operation: &Value) -> String {
    let text = |name: &str| match &operation[name] {
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let names: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            names.join(", ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let (path, key) = (text("path"), text("key"));
    let into = match key.is_empty() {
        true => "a list".to_owned(),
        false => format!("an object, as {key}"),
    };
    let done = match operation["op"].as_str().unwrap_or_default() {
        "rename" => format!("{} becomes {}", text("from"), text("to")),
        "move" => format!("{} moves to {}", text("from"), text("to")),
        "default" => format!("{path} is {} where there is none", operation["value"]),
        "set" => format!("{path} is {}", operation["value"]),
        "drop" => format!("{path} goes"),
        "map_values" => {
            let pairs = operation["values"].as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs
                .map(|(old, new)| format!("{old:?} is {new}"))
                .collect();
            format!("in {path} {}", pairs.join(", "))
        }
        "wrap" => format!("{path} goes into {into}"),
        "unwrap" => format!("{path} comes out of {into}"),
        "split" => format!("{path} is split into {} by {:?}", text("into"), text("by")),
        "join" => format!("{} are joined to {path} by {:?}", text("from"), text("by")),
        other => other.to_owned(),
    };
    match operation["at"].as_str() {
        Some(at) if !at.is_empty() => format!("{done}  (at {at})"),
        _ => done.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::testing::{Answer, Output, Server};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
        #[command(flatten)]
        common: Common,
    }

    const SERVICE: &str = r#"{"service":"s","versions":[
        {"version":"1","changes":[
            {"name":"names","functions":["f"],
             "request":[{"op":"rename","from":"who","to":"reader"},
                {"op":"map_values","path":"/kind","values":{"a":"b"}}],
             "response":{"reverse":["/data/*"]}},
            {"name":"own","functions":["*"],"code":true}]},
        {"version":"2","changes":[
            {"name":"parts","functions":["g"],
             "request":{"query":[{"op":"default","path":"/n","value":1}],
                "path":[{"op":"wrap","path":"/id","key":"of"}]}}]},
        {"version":"3"}]}"#;

    async fn seen(words: &[&str]) -> Result<String, Failure> {
        let server = Server::answering(vec![Answer::new(200, SERVICE)]).await;
        let url = server.url();
        let admin = ["--admin", &url];
        let line = ["diff"].iter().chain(words).chain(&admin);
        let line = Line::try_parse_from(line).unwrap();
        let mut output = Output::default();
        run(&line.common, &line.args, &mut output.terminal()).await?;
        assert_eq!(server.seen()[0].path, "/v1/services/s");
        Ok(output.out())
    }

    #[tokio::test]
    async fn changes_are_told_in_the_order_of_requests() {
        assert_eq!(
            seen(&["s", "1", "3"]).await.unwrap(),
            "1  names  (f)\n    args    who becomes reader\n    args    in /kind \"a\" is \"b\"\n    \
             result  in /kind \"b\" is \"a\"  (at /data/*)\n    result  reader becomes who  (at /data/*)\n\
             1  own  (all functions)\n    in the worker's code\n\
             2  parts  (g)\n    query   /n is 1 where there is none\n    path    /id goes into an object, as of\n"
        );
        assert_eq!(
            seen(&["s", "2", "--function", "f"]).await.unwrap(),
            "",
            "nothing of f"
        );
        let json = seen(&["s", "1", "2", "--json"]).await.unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["changes"][0]["version"], "1", "{json}");
        assert_eq!(json["changes"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn versions_that_are_not_there_are_told() {
        for (words, told) in [
            (["s", "9", "3"], "it lists 1, 2, 3"),
            (["s", "1", "x"], "it lists 1, 2, 3"),
            (["s", "3", "1"], "3 is newer than 1"),
        ] {
            let error = seen(&words).await.unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
