//! `sluice disable` and `sluice enable`: switches a function off and on.

use super::operator::Admin;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice disable` and `sluice enable`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which service.
    service: String,
    /// Which function.
    function: String,
    /// Which version; without it, the one that has none.
    version: Option<String>,
    /// Print the answer of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// Switches it and says so.
pub(super) async fn run(
    args: &Args,
    disabled: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let gateway = args.admin.gateway()?;
    let mut url = gateway.url("/v1/functions")?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend([&args.service, &args.function, "disabled"]);
    }
    if let Some(version) = &args.version {
        url.query_pairs_mut().append_pair("version", version);
    }
    let request = gateway.put(url, serde_json::json!({ "disabled": disabled }).to_string());
    let answer = args.admin.send(&gateway, request).await?;
    if args.json {
        writeln!(terminal.out, "{}", answer.text().trim())?;
    } else {
        let done = if disabled { "disabled" } else { "enabled" };
        let (service, function) = (&args.service, &args.function);
        let version = args.version.as_deref().unwrap_or_default();
        let line = format!("{service}.{function} {version}");
        writeln!(terminal.out, "{}: {done} at all gateways", line.trim_end())?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Output, Server};
    use super::*;

    fn args(server: &Server, version: Option<&str>) -> Args {
        Args {
            service: "demo".to_owned(),
            function: "a/b".to_owned(),
            version: version.map(str::to_owned),
            json: false,
            admin: Admin {
                admin: server.url(),
                token: Some("t".to_owned()),
            },
        }
    }

    #[tokio::test]
    async fn names_travel_escaped_and_refusals_are_told() {
        let server = Server::answering(vec![
            Answer::new(200, r#"{"disabled":true}"#),
            Answer::new(
                401,
                r#"{"error_code":"unauthenticated","error":"this token is not known here"}"#,
            ),
        ])
        .await;
        let mut output = Output::default();
        let args = args(&server, Some("1.2.0"));
        let exit = run(&args, true, &mut output.terminal()).await.unwrap();
        assert_eq!(exit, Exit::Ok);
        assert_eq!(output.out(), "demo.a/b 1.2.0: disabled at all gateways\n");
        assert_eq!(
            server.seen()[0].path,
            "/v1/functions/demo/a%2Fb/disabled?version=1.2.0"
        );
        let failure = run(&args, false, &mut output.terminal()).await.unwrap_err();
        assert!(failure.to_string().contains("--token"), "{failure}");
    }
}
