//! `sluice versions`: which versions there are, who calls them, and what becomes of them.

use reqwest::Method;
use serde_json::json;

use super::steer::{Asked, Common, Steered, moment};
use super::{Exit, Failure, Terminal, versions_diff};

/// Arguments of `sluice versions`.
pub(super) type Args = Steered<Command>;

/// What to do with versions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List versions of functions.
    List(Filter),
    /// Switch a version off: its calls are refused, at all gateways.
    Disable(Which),
    /// Switch a version on again.
    Enable(Which),
    /// Delete a version: it is as if it had never been registered, at all gateways.
    Delete(Which),
    /// Take a deletion back.
    Restore(Which),
    /// Say which version a call gets that names none; without VERSION, the newest again.
    Latest(Which),
    /// Mark a version as going: its callers are told.
    Deprecate(Deprecate),
    /// Take the mark back.
    Undeprecate(Which),
    /// Pin a version, or a range such as ^1.2, for a client that names none.
    Pin(Pin),
    /// Take a pin out.
    Unpin(Unpin),
    /// List the pins.
    Pins,
    /// List who calls a version.
    Callers(Which),
    /// Tell what has changed between two versions that are translated.
    Diff(versions_diff::Args),
}

#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only of this service.
    #[arg(long)]
    service: Option<String>,
    /// Only of this function.
    #[arg(long)]
    function: Option<String>,
    /// Only these.
    #[arg(long, value_parser = ["enabled", "disabled", "deleted"])]
    state: Option<String>,
}

/// Which version of a function.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Of which service.
    service: String,
    /// Which function.
    function: String,
    /// Which version; without it, the one that has none.
    version: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Deprecate {
    #[command(flatten)]
    which: Which,
    /// Since when: a date, a time, or seconds since 1970.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    at: u64,
    /// When it will stop to answer; nothing happens by itself then.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    sunset: Option<u64>,
    /// Where it says what to do instead.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(id = "client", required = true, multiple = false, args = ["user", "api_key"])]
pub(super) struct Client {
    /// A user, by id.
    #[arg(long)]
    user: Option<String>,
    /// An API key, by id.
    #[arg(long)]
    api_key: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Pin {
    /// Of which service.
    service: String,
    /// Which version, or range.
    version: String,
    /// Only of this function; else of all of the service that have the version.
    #[arg(long)]
    function: Option<String>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub struct Unpin {
    /// Of which service.
    service: String,
    /// Only of this function; else of all of the service that have the version.
    #[arg(long)]
    function: Option<String>,
    #[command(flatten)]
    client: Client,
}

impl Which {
    fn asked<'a>(&'a self, method: Method, part: &'a str) -> Asked<'a> {
        let path = ["functions", &self.service, &self.function, part];
        let path = path.into_iter().filter(|part| !part.is_empty());
        Asked::new(method, path).with("version", self.version.as_deref())
    }

    fn name(&self) -> String {
        let version = self.version.as_deref().map(|v| format!(" {v}"));
        let version = version.unwrap_or_default();
        format!("{}.{}{version}", self.service, self.function)
    }
}

/// Asks once, or changes one thing.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let common = &args.common;
    match &args.command {
        Command::List(filter) => list(common, filter, terminal).await,
        Command::Disable(which) | Command::Enable(which) => {
            let off = matches!(args.command, Command::Disable(_));
            switch(common, which, off, terminal).await
        }
        Command::Delete(which) => {
            let done = format!("{}: deleted at all gateways", which.name());
            let asked = which.asked(Method::DELETE, "");
            common.change(&asked, &done, terminal).await
        }
        Command::Restore(which) => {
            let done = format!("{}: restored at all gateways", which.name());
            let asked = which.asked(Method::POST, "restore");
            common.change(&asked, &done, terminal).await
        }
        Command::Latest(which) => latest(common, which, terminal).await,
        Command::Deprecate(deprecate) => {
            let which = &deprecate.which;
            let mut body = json!({ "at": deprecate.at });
            if let Some(sunset) = deprecate.sunset {
                body["sunset"] = sunset.into();
            }
            if let Some(link) = &deprecate.link {
                body["link"] = link.as_str().into();
            }
            let done = format!("{}: deprecated; its callers are told", which.name());
            let asked = which.asked(Method::PUT, "deprecation").body(body);
            common.change(&asked, &done, terminal).await
        }
        Command::Undeprecate(which) => {
            let done = format!("{}: not deprecated any more", which.name());
            let asked = which.asked(Method::DELETE, "deprecation");
            common.change(&asked, &done, terminal).await
        }
        Command::Pin(pin) => make_pin(common, pin, terminal).await,
        Command::Unpin(unpin) => {
            let (client, done) = (&unpin.client, "the pin is gone");
            let asked = Asked::new(Method::DELETE, ["pins"])
                .with("user", client.user.as_deref())
                .with("api_key", client.api_key.as_deref())
                .with("service", Some(&unpin.service))
                .with("function", unpin.function.as_deref());
            common.change(&asked, done, terminal).await
        }
        Command::Diff(args) => versions_diff::run(common, args, terminal).await,
        Command::Pins => pins(common, terminal).await,
        Command::Callers(which) => {
            let columns = [
                ("USER", "user"),
                ("API KEY", "api_key"),
                ("ANONYMOUS", "anonymous"),
                ("CALLS", "calls"),
                ("LAST", "last"),
            ];
            let asked = which.asked(Method::GET, "callers");
            common.list(&asked, "callers", &columns, terminal).await
        }
    }
}

/// Switches a version off or on.
pub(super) async fn switch(
    common: &Common,
    which: &Which,
    disabled: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let done = if disabled { "disabled" } else { "enabled" };
    let done = format!("{}: {done} at all gateways", which.name());
    let body = json!({ "disabled": disabled });
    let asked = which.asked(Method::PUT, "disabled").body(body);
    common.change(&asked, &done, terminal).await
}

async fn list(
    common: &Common,
    filter: &Filter,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let asked = Asked::new(Method::GET, ["versions"])
        .with("service", filter.service.as_deref())
        .with("function", filter.function.as_deref())
        .with("state", filter.state.as_deref());
    let columns = [
        ("SERVICE", "service"),
        ("FUNCTION", "function"),
        ("VERSION", "version"),
        ("STATE", "state"),
        ("BY", "by"),
        ("LATEST", "latest"),
        ("DEPRECATED", "deprecation.at"),
        ("SUNSET", "deprecation.sunset"),
        ("INSTANCES", "instances"),
        ("CALLS", "calls"),
    ];
    common.list(&asked, "versions", &columns, terminal).await
}

async fn latest(
    common: &Common,
    which: &Which,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let path = ["functions", &which.service, &which.function, "latest"];
    let body = json!({ "version": which.version });
    let asked = Asked::new(Method::PUT, path).body(body);
    let (service, function) = (&which.service, &which.function);
    let version = which.version.as_deref().unwrap_or("the newest");
    let done = format!("{service}.{function}: the latest is {version}");
    common.change(&asked, &done, terminal).await
}

async fn make_pin(
    common: &Common,
    pin: &Pin,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let client = &pin.client;
    let (kind, id) = match (&client.user, &client.api_key) {
        (Some(id), _) => ("user", id),
        (None, Some(id)) => ("api_key", id),
        // The command line requires one.
        (None, None) => return Err(Failure::Usage("name --user or --api-key".to_owned())),
    };
    let mut body = json!({ (kind): id, "service": pin.service, "version": pin.version });
    if let Some(function) = &pin.function {
        body["function"] = function.as_str().into();
    }
    let asked = Asked::new(Method::PUT, ["pins"]).body(body);
    let kind = kind.replace('_', " ");
    let done = format!("{kind} {id} gets {} of {}", pin.version, pin.service);
    common.change(&asked, &done, terminal).await
}

async fn pins(common: &Common, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let columns = [
        ("USER", "client.user"),
        ("API KEY", "client.api_key"),
        ("SERVICE", "service"),
        ("FUNCTION", "function"),
        ("VERSION", "to"),
        ("BY", "by"),
    ];
    let asked = Asked::new(Method::GET, ["pins"]);
    common.list(&asked, "overrides", &columns, terminal).await
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
    }

    async fn seen(words: &[&str]) -> (String, String, String) {
        let server = Server::answering(vec![Answer::new(200, r#"{"known":true}"#)]).await;
        let url = server.url();
        let admin = ["--admin", &url];
        let line = ["versions"].iter().chain(words).chain(&admin);
        let args = Line::try_parse_from(line).unwrap().args;
        let mut output = Output::default();
        let exit = run(&args, &mut output.terminal()).await.unwrap();
        assert_eq!(exit, Exit::Ok);
        let request = &server.seen()[0];
        (
            format!("{} {}", request.method, request.path),
            request.body.clone(),
            output.out(),
        )
    }

    #[tokio::test]
    async fn each_command_asks_for_its_route() {
        for (words, request, body, said) in [
            (
                &["disable", "s", "a/b", "1.0"][..],
                "PUT /v1/functions/s/a%2Fb/disabled?version=1.0",
                r#"{"disabled":true}"#,
                "s.a/b 1.0: disabled at all gateways\n",
            ),
            (
                &["enable", "s", "f"],
                "PUT /v1/functions/s/f/disabled",
                r#"{"disabled":false}"#,
                "s.f: enabled at all gateways\n",
            ),
            (
                &["delete", "s", "f", "1"],
                "DELETE /v1/functions/s/f?version=1",
                "",
                "s.f 1: deleted at all gateways\n",
            ),
            (
                &["latest", "s", "f"],
                "PUT /v1/functions/s/f/latest",
                r#"{"version":null}"#,
                "s.f: the latest is the newest\n",
            ),
            (
                &[
                    "deprecate",
                    "s",
                    "f",
                    "1",
                    "--at",
                    "2023-07-01",
                    "--link",
                    "https://x",
                ],
                "PUT /v1/functions/s/f/deprecation?version=1",
                r#"{"at":1688169600,"link":"https://x"}"#,
                "s.f 1: deprecated; its callers are told\n",
            ),
            (
                &["pin", "s", "^1", "--api-key", "k", "--function", "f"],
                "PUT /v1/pins",
                r#"{"api_key":"k","service":"s","version":"^1","function":"f"}"#,
                "api key k gets ^1 of s\n",
            ),
            (
                &["unpin", "s", "--user", "u"],
                "DELETE /v1/pins?user=u&service=s",
                "",
                "the pin is gone\n",
            ),
        ] {
            let expected = (request.to_owned(), body.to_owned(), said.to_owned());
            assert_eq!(seen(words).await, expected, "{words:?}");
        }
    }

    #[test]
    fn a_pin_is_for_one_client() {
        for words in [
            &["versions", "pin", "s", "1"][..],
            &["versions", "pin", "s", "1", "--user", "u", "--api-key", "k"],
            &["versions", "unpin", "s"],
        ] {
            assert!(Line::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
